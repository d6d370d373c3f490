"""The catalog on a PostgreSQL server: connections, turns of writing, the signal of events, errors in words."""
