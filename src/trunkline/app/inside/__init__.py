"""What a worker offers to the code that it runs."""
