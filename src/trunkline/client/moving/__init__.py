"""Repos moved: into files and back, and out of other servers."""
