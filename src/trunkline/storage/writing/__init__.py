"""File sets made: streams of edits, merged layers, finished commits."""
