"""Trunkline: versioned data repos, and data-driven pipelines over them."""

__version__ = "0.1.0"
