"""The promises of `storage.ports.WriteSession`, whoever keeps the rows: a dict, the catalog, a server over the wire."""

from __future__ import annotations

from typing import Protocol

import pytest
from blake3 import blake3

from trunkline.errors import Aborted
from trunkline.storage import NewChunk, WriteSession
from trunkline.storage.blobs import BlobStore


class Opened(Protocol):
    """A session and its end."""

    session: WriteSession

    def end(self) -> None:
        """End it."""
        ...


class Rows(Protocol):
    """One set of rows, and sessions on it."""

    blobs: BlobStore

    def open(self) -> Opened:
        """A new session."""
        ...


def upload(rows: Rows, session: WriteSession, data: bytes) -> NewChunk:
    """Put a blob as an uploader does, before its row."""
    chunk = NewChunk(blake3(data).digest(), session.gen, len(data), len(data))
    rows.blobs.put(chunk.key.blob, data)
    return chunk


class WriteSessionContract:
    """Inherit, and give a fixture `rows`: a `Rows`."""

    def test_every_session_has_a_number_of_its_own(self, rows: Rows) -> None:
        assert len({rows.open().session.gen for _ in range(3)}) == 3

    def test_what_nobody_stored_is_not_known(self, rows: Rows) -> None:
        assert rows.open().session.known([blake3(b"nobody").digest()]) == {}
        assert rows.open().session.known([]) == {}

    def test_what_was_registered_is_known_to_all(self, rows: Rows) -> None:
        one, other = rows.open().session, rows.open().session
        chunk = upload(rows, one, b"shared")
        assert one.register([chunk]) == {chunk.hash: one.gen}
        assert other.known([chunk.hash, blake3(b"absent").digest()]) == {chunk.hash: one.gen}

    def test_who_registers_first_wins(self, rows: Rows) -> None:
        first, second = rows.open().session, rows.open().session
        chunks = [upload(rows, session, b"the same") for session in (first, second)]
        assert first.register(chunks[:1]) == {chunks[0].hash: first.gen}
        assert second.register(chunks[1:]) == {chunks[0].hash: first.gen}

    def test_many_chunks_at_once(self, rows: Rows) -> None:
        session = rows.open().session
        chunks = [upload(rows, session, b"chunk %d" % number) for number in range(1001)]
        assert set(session.register(chunks).values()) == {session.gen}
        assert rows.open().session.known([chunk.hash for chunk in chunks]).keys() == {one.hash for one in chunks}

    def test_an_ended_session_is_refused(self, rows: Rows) -> None:
        opened = rows.open()
        chunk = upload(rows, opened.session, b"too late")
        opened.end()
        with pytest.raises(Aborted):
            opened.session.known([chunk.hash])
        with pytest.raises(Aborted):
            opened.session.register([chunk])
        assert rows.open().session.known([chunk.hash]) == {}
