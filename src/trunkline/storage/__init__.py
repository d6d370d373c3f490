"""Bytes, stored once: blobs (object stores) under chunks (content) under file sets (sorted tables of paths)."""

from trunkline.storage.cached import CacheFigures
from trunkline.storage.ports import ChunkKey, NewChunk, Part, Sealed, WriteSession
from trunkline.storage.reading.compare import Change, changes
from trunkline.storage.reading.content import Content
from trunkline.storage.reading.entries import Entry, entries
from trunkline.storage.reading.rendered import RenderedRun, directory_row, text_rows, with_directories
from trunkline.storage.reading.shards import shards
from trunkline.storage.reading.view import View
from trunkline.storage.store import Store
from trunkline.storage.writing.finish import Finished
from trunkline.storage.writing.intake import ReadInto
from trunkline.storage.writing.writer import Writer

__all__ = [
    "CacheFigures",
    "Change",
    "ChunkKey",
    "Content",
    "Entry",
    "Finished",
    "NewChunk",
    "Part",
    "ReadInto",
    "RenderedRun",
    "Sealed",
    "Store",
    "View",
    "WriteSession",
    "Writer",
    "changes",
    "directory_row",
    "entries",
    "shards",
    "text_rows",
    "with_directories",
]
