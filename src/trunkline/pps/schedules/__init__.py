"""Inputs that go by a schedule or a condition: ticks of cron inputs, and branches that follow others."""
