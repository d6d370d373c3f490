"""Pipelines whose code runs in pods."""
