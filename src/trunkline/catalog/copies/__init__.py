"""Copies of the whole catalog, for backups, and the way back."""
