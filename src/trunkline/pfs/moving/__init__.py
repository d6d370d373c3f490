"""Repos that come and go with their history: as bundles, or commit by commit."""
