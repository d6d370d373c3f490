"""Where workers live: starts them, scales and stops them, and says why something is stuck."""
