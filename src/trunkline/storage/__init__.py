"""Bytes, stored once: blobs (object stores) under chunks (content) under file sets (sorted tables of paths)."""

from trunkline.storage.ports import ChunkKey, NewChunk, Part, Sealed, WriteSession
from trunkline.storage.reading.content import Content
from trunkline.storage.reading.view import Entry, View, entries
from trunkline.storage.store import Store
from trunkline.storage.writing.finish import Finished
from trunkline.storage.writing.writer import Writer

__all__ = [
    "ChunkKey",
    "Content",
    "Entry",
    "Finished",
    "NewChunk",
    "Part",
    "Sealed",
    "Store",
    "View",
    "WriteSession",
    "Writer",
    "entries",
]
