"""Several servers on one database: which of them leads, and who they are together."""
