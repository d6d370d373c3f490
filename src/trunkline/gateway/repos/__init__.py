"""Repos as S3 buckets."""
