"""Commands on work: pipelines, jobs, datums, logs, images."""
