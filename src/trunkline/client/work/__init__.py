"""What workers ask of a server, and datums of past jobs run elsewhere."""
