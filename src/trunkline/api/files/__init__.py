"""Doors of the versioned file system."""
