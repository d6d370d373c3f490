"""`pachd` with pods of Kubernetes for workers."""
