"""The objects of pods, made of specs alone."""
