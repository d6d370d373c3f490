"""What one server at a time does by itself, and which of several servers that is."""
