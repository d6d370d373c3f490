"""The HTTP door: health, metrics, S3."""
