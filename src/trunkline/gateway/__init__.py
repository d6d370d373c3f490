"""The HTTP door: health, metrics."""
