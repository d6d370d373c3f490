"""Content, cut, compressed and named by what it is. Equal content is never stored twice."""

from trunkline.storage.chunks.cut import SMALL_FILE, Cutter, pack_ends
from trunkline.storage.chunks.reader import ChunkReader, Piece
from trunkline.storage.chunks.upload import Pools, Ticket, Uploader

__all__ = ["SMALL_FILE", "ChunkReader", "Cutter", "Piece", "Pools", "Ticket", "Uploader", "pack_ends"]
