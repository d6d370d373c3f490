"""Contracts, fakes, models and faults that tests share. It may use every room; no room may use it."""
