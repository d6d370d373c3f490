"""What a server does about containers."""
