"""File sets lent to clients: made, composed, read as if they were commits, and gone when their lease runs out."""
