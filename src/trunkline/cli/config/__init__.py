"""The user's config file: contexts (which server, project and token) and which of them is active."""
