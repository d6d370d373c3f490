"""Keys and sealed file sets as they travel."""

from __future__ import annotations

from trunkline.storage.ports import ChunkKey, Part, Sealed


def test_a_sealed_file_set_travels_unchanged() -> None:
    part = Part("parts/ab/abcd-0.7", 3, "/a", "/c", 900, b"\x01" * 32)
    sealed = Sealed(id="ab" * 16, rows=3, size_bytes=10, parts=(part,), chunks_blob="lists/ab/x.7", chunks_digest=b"d")
    assert Sealed.from_bytes(sealed.to_bytes()) == sealed
    assert sealed.blobs() == ("parts/ab/abcd-0.7", "lists/ab/x.7")


def test_the_blob_of_a_chunk_names_hash_and_generation() -> None:
    key = ChunkKey(bytes(range(32)), 12)
    assert key.blob == f"chunks/00/{bytes(range(32)).hex()}.12"
    assert str(key) == f"chunk {bytes(range(32)).hex()}.12"
