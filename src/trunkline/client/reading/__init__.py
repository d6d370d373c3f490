"""Files read and listed: bytes to where they are wanted, and what lies where."""
