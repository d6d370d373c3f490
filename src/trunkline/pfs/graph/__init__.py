"""Repos, branches, commits and their provenance: the graph, changed in transactions."""
