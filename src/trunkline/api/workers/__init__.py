"""The workers' own door, and what it hands out."""
