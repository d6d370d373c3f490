"""Wiring: the one place that picks implementations, opens the address and starts what runs by itself."""
