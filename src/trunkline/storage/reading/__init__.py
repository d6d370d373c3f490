"""File sets opened for reading: what a commit holds, and the bytes of its files."""
