"""Commands on names for commits, and on branches brought together."""
