"""Branches brought together: what each side changed since they parted, and a commit that has both."""
