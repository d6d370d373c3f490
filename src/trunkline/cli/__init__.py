"""`pachctl`: the terminal's door. Decode the arguments, make one call of the client, print the answer."""

from __future__ import annotations

from trunkline.cli.entry import main

__all__ = ["main"]
