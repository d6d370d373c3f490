"""Object stores: one narrow port, a durable folder on this machine, stores elsewhere, and a strict fake."""

from trunkline.storage.blobs.local import LocalBlobs
from trunkline.storage.blobs.memory import Call, InjectedCrash, MemoryBlobs
from trunkline.storage.blobs.opening import open_blobs
from trunkline.storage.blobs.port import BlobStore, Bytes, Data

__all__ = ["BlobStore", "Bytes", "Call", "Data", "InjectedCrash", "LocalBlobs", "MemoryBlobs", "open_blobs"]
