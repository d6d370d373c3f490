"""Writers, a collector, a reader and a store of blobs around the real rows: the actors of the collection protocol.

One content only, as in the model that the protocol was proved with. Each step is one transaction or one effect on the
blobs; a test orders the steps. `off` takes one safeguard away, to show that the test would see it missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.catalog.collection import checks, chunks, cycle, filesets, sessions
from trunkline.catalog.collection.chunks import Key
from trunkline.catalog.engine import Catalog, Tx
from trunkline.errors import Aborted, Internal

X = b"x" * 32


@dataclass(frozen=True)
class Chunk:
    """An upload."""

    hash: bytes
    gen: int
    size_bytes: int = 3
    stored_bytes: int = 2


@dataclass(frozen=True)
class FileSet:
    """A sealed file set that names chunks and has one part."""

    id: str
    keys: tuple[Key, ...]
    rows: int = 1
    size_bytes: int = 3

    @property
    def chunks(self) -> bytes:
        return b"".join(digest + gen.to_bytes(8, "big") for digest, gen in self.keys)

    def blobs(self) -> tuple[str, ...]:
        return (f"parts/{self.id}",)

    def to_bytes(self) -> bytes:
        return b"body of " + self.id.encode()


@dataclass
class Writer:
    """A write session, from its own point of view."""

    gen: int
    ref: Key | None = None
    put: bool = False
    sealed: str = ""
    state: str = "open"


@dataclass
class World:
    """Everything together. Steps answer False where they are not possible now."""

    catalog: Catalog
    off: str = ""
    blobs: set[Key] = field(default_factory=set)
    writers: dict[int, Writer] = field(default_factory=dict)
    late: set[Key] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    reading: str = ""
    marked: cycle.Mark | None = None
    number: int = 0
    phase: str = "rest"

    def __post_init__(self) -> None:
        self.fence = self.catalog.transact(cycle.take)

    def do(self, step: str) -> bool:
        """One step in the words of the model: `w0 open`, `gc condemn`, `blob delete`, `reader starts`."""
        actor, _, verb = step.partition(" ")
        if actor[0] == "w" and actor[1:].isdigit():
            return self._writer_step(int(actor[1:]), verb)
        return bool(getattr(self, "_" + step.replace(" ", "_"))())

    # writers

    def _writer_step(self, name: int, verb: str) -> bool:
        if verb == "open":
            if name in self.writers and self.writers[name].state != "ended":
                return False
            self.writers[name] = Writer(self.catalog.transact(lambda tx: sessions.open_session(tx, "test")))
            return True
        writer = self.writers.get(name)
        if writer is None or writer.state == "ended":
            return False
        try:
            return bool(getattr(self, "_w_" + verb.replace(" ", "_"))(writer))
        except Aborted:
            writer.state = "ended"  # it was told that its session is over
            return True
        except Internal as error:
            self.lost.append(str(error))
            return True

    def _w_looks(self, writer: Writer) -> bool:
        """Look up; upload where nothing is found."""
        if writer.ref or writer.put or writer.sealed:
            return False
        found = self.catalog.transact(lambda tx: chunks.known(tx, writer.gen, [X]))
        if X in found:
            writer.ref = (X, found[X])
        else:
            writer.put = True
            self.blobs.add(self._key((X, writer.gen)))
        return True

    def _w_insert_row(self, writer: Writer) -> bool:
        if not writer.put:
            return False
        found = self.catalog.transact(lambda tx: chunks.register(tx, writer.gen, [Chunk(X, writer.gen)]))
        writer.put, writer.ref = False, (X, found[X])
        return True

    def _w_copies(self, writer: Writer) -> bool:
        """Take over the rows of some commit's file set, by reference."""
        held = self._commits()
        if writer.ref or writer.put or writer.sealed or not held:
            return False
        source = held[0]
        if self.off != "hold":
            self.catalog.transact(lambda tx: filesets.hold(tx, writer.gen, [source]))
        writer.ref = self._keys_of(source)[0]
        return True

    def _w_seals(self, writer: Writer) -> bool:
        if writer.ref is None or writer.sealed:
            return False
        made = FileSet(f"{writer.gen:032x}", (writer.ref,))
        # Without naming its hits, as the most careless caller may: then the other rules must carry it.
        self.catalog.transact(lambda tx: filesets.seal(tx, writer.gen, [made]))
        writer.sealed = made.id
        return True

    def _w_adopts(self, writer: Writer) -> bool:
        if not writer.sealed or writer.state == "adopted":
            return False
        self.catalog.transact(lambda tx: filesets.adopt(tx, writer.gen, [writer.sealed], "commit", str(writer.gen)))
        writer.state = "adopted"
        return True

    def _w_refreshes(self, writer: Writer) -> bool:
        hits = [] if writer.ref is None or writer.sealed or self.off == "refreshtx" else [writer.ref]
        self.catalog.transact(lambda tx: chunks.refresh(tx, writer.gen, hits))
        return True

    def _w_ends(self, writer: Writer) -> bool:
        self.catalog.transact(lambda tx: sessions.end_session(tx, writer.gen))
        writer.state = "ended"
        return True

    def _w_expires(self, writer: Writer) -> bool:
        """The leader ends it; the writer does not know and goes on."""
        self.catalog.transact(lambda tx: sessions.end_session(tx, writer.gen))
        return True

    # commits and readers

    def _commit_is_deleted(self) -> bool:
        held = self._commits()
        if held:
            self.catalog.transact(lambda tx: filesets.drop_holder(tx, "commit", str(int(held[0], 16))))
        return bool(held)

    def _reader_starts(self) -> bool:
        if self.reading:
            return False
        if self.off != "pin":
            self.catalog.transact(lambda tx: sessions.pin(tx, "reader"))
        held = self._commits()
        if not held or not self.catalog.read(lambda tx: filesets.get_filesets(tx, held[:1])):
            self.catalog.transact(lambda tx: sessions.unpin(tx, "reader"))
            return False
        self.reading = held[0]
        self._read_key = self._keys_of(held[0])[0]
        return True

    def _reader_ends(self) -> bool:
        if not self.reading:
            return False
        self.reading = ""
        self.catalog.transact(lambda tx: sessions.unpin(tx, "reader"))
        return True

    # the collector

    def _gc_lists(self) -> bool:
        if self.phase not in ("rest", "over"):
            return False
        self.number = self.catalog.transact(lambda tx: cycle.begin(tx, self.fence))
        self.marked = self.catalog.read(cycle.mark)
        self.phase = "marked"
        return True

    def _gc_dooms(self) -> bool:
        """Bring back what is named, doom what is not and was condemned by a clear cycle."""
        if self.phase != "marked" or self.marked is None:
            return False
        named, rest, clear = self._named(), self._unnamed(), self.marked.clear_through
        if self.off == "mark2":
            rest = self._condemned()
        else:
            self.catalog.transact(lambda tx: chunks.revive(tx, named))
        if self.off == "wait":
            clear = self.number
        self.catalog.transact(lambda tx: cycle.doom(tx, self.fence, self.number, clear, rest))
        self.phase = "doomed"
        return True

    def _gc_condemns(self) -> bool:
        if self.phase != "doomed":
            return False
        rest = self._unnamed()
        self.catalog.transact(lambda tx: cycle.condemn(tx, self.fence, self.number, rest))
        self.phase = "condemned"
        return True

    def _gc_notes(self) -> bool:
        if self.phase != "condemned":
            return False
        self.catalog.transact(lambda tx: cycle.note_waits(tx, self.fence, self.number))
        self.phase = "noted"
        return True

    def _gc_ends(self) -> bool:
        """Delete dead file sets and close the cycle."""
        if self.phase != "noted":
            return False
        self.catalog.transact(lambda tx: cycle.delete_unheld(tx, self.fence, self.number, 100))
        self.catalog.transact(lambda tx: cycle.finish_doom(tx, self.fence, self.number))
        self.phase = "over"
        return True

    def _gc_dies(self) -> bool:
        """Another collector takes over, wherever this one was."""
        self.fence = self.catalog.transact(cycle.take)
        self.phase = "rest"
        return True

    def _blob_delete(self) -> bool:
        """Delete what may go. The request may be sent once more at any later time."""
        keys, names = self.catalog.read(lambda tx: cycle.list_deletable(tx, 100))
        for key in keys:
            self.blobs.discard(self._key(key))
            self.late.add(self._key(key))
        self.catalog.transact(lambda tx: cycle.forget(tx, keys, names))
        return bool(keys or names)

    def _blob_delete_again(self) -> bool:
        self.blobs -= self.late
        return bool(self.late)

    def _sweep(self) -> bool:
        """Delete leftovers found by listing."""
        listed = sorted(self.blobs)
        left = self.catalog.read(lambda tx: cycle.leftover_chunks(tx, listed))
        if self.off == "sweep":
            left = [key for key in listed if not self._rows([key])]
        self.blobs -= set(left)
        return bool(left)

    # what must hold

    def wrong(self) -> list[str]:
        """Everything that has been lost, in words."""
        found = self.lost + self.catalog.read(lambda tx: list(checks.violations(tx)))
        for fileset in self._held():
            for key in self._keys_of(fileset):
                if not self._rows([key]):
                    found.append(f"held file set {fileset} without row")
                if self._key(key) not in self.blobs:
                    found.append(f"held file set {fileset} without blob")
        if self.reading and self._key(self._read_key) not in self.blobs:
            found.append("the reader lost its blob")
        return found

    def free_all(self) -> None:
        """Delete everything and collect until nothing is left to do."""
        self.do("reader ends")
        self.catalog.transact(sessions.end_all)
        for gen in [int(fileset, 16) for fileset in self._held()]:
            self.catalog.transact(lambda tx, gen=gen: filesets.drop_holder(tx, "commit", str(gen)))
        self.do("gc dies")
        for _ in range(3):
            for step in ("gc lists", "gc dooms", "gc condemns", "gc notes", "gc ends", "blob delete", "sweep"):
                self.do(step)

    def _key(self, key: Key) -> Key:
        return (key[0], 0) if self.off == "unique" else key

    def _held(self) -> list[str]:
        return self.catalog.read(lambda tx: [row[0] for row in checks.list_held(tx, "", 1000)])

    def _commits(self) -> list[str]:
        def find(tx: Tx) -> list[str]:
            held = [row[0] for row in checks.list_held(tx, "", 1000)]
            owners = filesets.holders_of(tx, held)
            return [one for one in held if any(kind == "commit" for kind, _ in owners[one])]

        return self.catalog.read(find)

    def _keys_of(self, fileset: str) -> list[Key]:
        rows = self.catalog.read(lambda tx: cycle.chunk_lists(tx, [fileset]))
        return [key for row in rows for key in checks.parse_chunk_list(row.chunks)]

    def _rows(self, keys: list[Key]) -> bool:
        return not self.catalog.read(lambda tx: chunks.missing(tx, keys))

    def _named(self) -> list[Key]:
        assert self.marked is not None
        return sorted({key for fileset in self.marked.held for key in self._keys_of(fileset)})

    def _unnamed(self) -> list[Key]:
        named = set(self._named())
        rows = self.catalog.read(lambda tx: cycle.list_chunks(tx, None, 1000))
        return [(row.hash, row.gen) for row in rows if (row.hash, row.gen) not in named]

    def _condemned(self) -> list[Key]:
        rows = self.catalog.read(lambda tx: cycle.list_chunks(tx, None, 1000))
        return [(row.hash, row.gen) for row in rows if row.condemned is not None]
