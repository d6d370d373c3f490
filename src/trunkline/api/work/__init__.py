"""Doors of the pipeline system."""
