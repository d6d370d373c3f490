"""Collection driven: pins of readers, cycles, leftovers, what it all came to."""
