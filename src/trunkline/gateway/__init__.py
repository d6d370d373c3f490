"""The HTTP door: health, metrics, content by reference, S3."""
