"""The nouns of Trunkline, their ids and the rules about them. No I/O, no clock, no chance."""
