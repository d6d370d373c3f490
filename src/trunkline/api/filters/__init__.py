"""Filters in the language of jq, which lists of pipelines and jobs may be asked with."""
