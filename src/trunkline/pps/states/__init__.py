"""How pipelines are doing, and what somebody should know of that."""
