"""Looking back: what a commit was made from, who changed a file, what is being done now."""
