"""Object stores: one narrow port, a durable folder on this machine, and a strict fake."""

from trunkline.storage.blobs.local import LocalBlobs
from trunkline.storage.blobs.memory import Call, InjectedCrash, MemoryBlobs
from trunkline.storage.blobs.port import BlobStore, Bytes, Data

__all__ = ["BlobStore", "Bytes", "Call", "Data", "InjectedCrash", "LocalBlobs", "MemoryBlobs"]
