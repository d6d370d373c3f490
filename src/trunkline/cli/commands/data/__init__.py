"""Commands on data: projects, repos, branches, commits, files."""
