"""Images of containers: which content a name stands for, and who finds that out."""
