"""From what a person asks for to versions of pipelines: specs read, laid over defaults, rendered from templates."""
