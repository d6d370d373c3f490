"""The pipeline system: specs become pipelines, commits become jobs, jobs become datums and the next commits."""
