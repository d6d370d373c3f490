"""All that a server has, written as one stream, and put back into an empty one."""
