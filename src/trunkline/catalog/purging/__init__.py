"""What is being taken out of history, what was, and what of it is still stored."""
