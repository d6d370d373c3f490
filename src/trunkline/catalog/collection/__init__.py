"""What keeps bytes alive: write sessions, chunk rows, file sets and their holders, reader pins, the rows of a cycle.

The rules are those of `docs/formats/collection.md`; every one of them is a function of a transaction here. Nothing in
this folder reads a clock or touches a blob.
"""
