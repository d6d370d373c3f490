"""Container images from this machine: built from a Dockerfile, and pushed to a registry."""
