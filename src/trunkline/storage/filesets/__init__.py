"""File sets: sorted tables of paths, as columns; their rows, how layers merge, how they are stored and opened."""
