"""Queries on names for commits and on lines of history that meet."""
