"""The versioned file system: repos, branches, commits and their provenance, files written, finished and read."""
