"""The doors onto file sets that are lent to clients."""
