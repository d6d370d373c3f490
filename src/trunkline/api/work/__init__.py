"""Doors of the pipeline system, and the workers' own."""
