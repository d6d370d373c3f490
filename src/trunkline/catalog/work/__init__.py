"""Queries of the pipeline system. A missing row is None, never an error: what it means is the caller's to say."""
