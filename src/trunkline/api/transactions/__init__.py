"""Recorded transactions: which calls they hold, how those are kept and carried out."""
