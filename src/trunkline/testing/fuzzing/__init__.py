"""Requests that nobody would write, made from the message types, and what a server may answer them with."""
