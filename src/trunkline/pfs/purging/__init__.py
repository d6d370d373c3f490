"""Paths taken out of all history, with everything that was made from them."""
