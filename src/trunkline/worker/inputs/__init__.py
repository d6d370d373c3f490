"""Inputs as code sees them: variables, and files that are fetched when they are opened."""
