"""Files that need not be read and sent: what this machine knows of them, and what the server has."""
