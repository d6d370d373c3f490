"""Bytes, stored once: blobs (object stores) under chunks (content) under file sets (sorted tables of paths)."""
