"""The typed client: one channel to a server, its calls, and uploads and downloads of whole trees.

`connect` gives a `Client`; its `pfs`, `pps` and the rest are the generated stubs, so that every call is typed. Whatever
fails raises the `TrunklineError` that the server meant.
"""

from __future__ import annotations

from trunkline.client.address import Address, parse
from trunkline.client.connection import Client, connect

__all__ = ["Address", "Client", "connect", "parse"]
