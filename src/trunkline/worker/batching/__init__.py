"""Code that is started once and asks for one datum after the other."""
