"""Workers as pods of Kubernetes: a ReplicaSet for each version of a pipeline, watched, scaled and taken away again."""
