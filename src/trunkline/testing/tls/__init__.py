"""Certificates of our own."""
