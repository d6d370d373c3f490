"""Durable rows and transactions, and the outbox of events written with them. All SQL is in this room."""
