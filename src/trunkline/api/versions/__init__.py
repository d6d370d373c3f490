"""Doors of our own calls on names for commits and on branches brought together."""
