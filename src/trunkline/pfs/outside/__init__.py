"""Files that come from places outside, and commits that are sent there."""
