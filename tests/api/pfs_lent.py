"""File sets, the cache that holds some, and files from elsewhere, each told to a server and to the model beside it."""

from __future__ import annotations

from collections.abc import Iterator

import obstore
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.wrappers_pb2 import BytesValue
from obstore.store import MemoryStore
from pfs_change import Refused
from pfs_model import Tree
from pfs_purged import Purges
from pfs_rules import PATHS, Luck, data_of, head_msg, sent, write_of

from trunkline.storage.objects import places
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import storage_pb2 as storage

VALUE = Any(type_url="type.googleapis.com/google.protobuf.Empty")
OUTSIDE = {"in/a": b"from far away", "in/d/x": b"", "in/e/y/z": b"w" * 70_000}
"""What lies at `s3://bucket/`."""


def outside(patch: pytest.MonkeyPatch) -> None:
    """Let every s3:// URL lead to `OUTSIDE`."""
    store = MemoryStore()
    for path, data in OUTSIDE.items():
        obstore.put(store, path, data)
    patch.setattr(places, "_s3", lambda _parts, _said: store)


class Lent(Purges):
    """With file sets, by both services that there are for them."""

    def lend(self, luck: Luck) -> None:
        files = {luck.choice(PATHS): data_of(luck) for _ in range(luck.randint(1, 3))}
        if luck.random() < 0.5:
            said = [message for path, data in files.items() for message in sent([("put", path, data)])]
            lease = self.pfs.CreateFileSet(iter(said)).file_set_id
        else:
            lease = self.server.sets.CreateFileset(self._said(files)).fileset_id
        self.lent.append((lease, files))

    def _said(self, files: Tree) -> Iterator[storage.CreateFilesetRequest]:
        for path, data in files.items():
            yield storage.CreateFilesetRequest(delete_file=storage.DeleteFile(path=path))
            added = storage.AppendFile(path=path, data=BytesValue(value=data))
            yield storage.CreateFilesetRequest(append_file=added)

    def compose(self, luck: Luck) -> None:
        if self.lent:
            below, above, compact = luck.choice(self.lent), luck.choice(self.lent), luck.random() < 0.5
            ids, files = [below[0], above[0]], below[1] | above[1]
            if luck.random() < 0.5:
                request = pfs.ComposeFileSetRequest(file_set_ids=ids, ttl_seconds=600, compact=compact)
                self.lent.append((self.pfs.ComposeFileSet(request).file_set_id, files))
            else:
                one = storage.ComposeFilesetRequest(fileset_ids=ids, ttl_seconds=600)
                self.lent.append((self.server.sets.ComposeFileset(one).fileset_id, files))

    def renew(self, luck: Luck) -> None:
        """One is to last longer, and to be cut; it has what it had."""
        if self.lent:
            lease, files = luck.choice(self.lent)
            self.server.sets.RenewFileset(storage.RenewFilesetRequest(fileset_id=lease, ttl_seconds=1800))
            self.server.sets.ShardFileset(storage.ShardFilesetRequest(fileset_id=lease, num_files=2))
            self.pfs.ShardFileSet(pfs.ShardFileSetRequest(file_set_id=lease, num_files=2))
            request = storage.ReadFilesetRequest(fileset_id=lease)
            found: dict[str, bytes] = {}
            for piece in self.server.sets.ReadFileset(request):
                found[piece.path] = found.get(piece.path, b"") + piece.data.value
            assert found == files

    def lay(self, luck: Luck) -> None:
        """A file set on an open commit; now and then on another."""
        known = [one for one in self.world.commits.values() if one.state == "open" and not one.ups]
        one = luck.choice(known) if known else self.picked(luck)
        if one is not None and self.lent:
            lease, files = luck.choice(self.lent)
            request = pfs.AddFileSetRequest(commit=self.named(one.number), file_set_id=lease)
            self.played.do(
                lambda: self.pfs.AddFileSet(request),
                lambda change: change.write_to(one.number, [lambda tree: tree | files]),
            )

    def cache(self, luck: Luck) -> None:
        """A file set that a key of the cache holds, or the cache emptied: commits do not change."""
        if self.lent and luck.random() < 0.7:
            key, (lease, _) = luck.choice(["k1", "k2"]), luck.choice(self.lent)
            self.pfs.PutCache(pfs.PutCacheRequest(key=key, value=VALUE, file_set_ids=[lease], tag="t"))
        else:
            self.pfs.ClearCache(pfs.ClearCacheRequest(tag_prefix="t"))

    def fetch(self, luck: Luck) -> None:
        """A file, or a tree of files, from a URL; now and then from where nothing is."""
        at, whole = self.at(luck), luck.random() < 0.5
        name = luck.choice([*OUTSIDE, "nothing"])
        path, to = ("s3://bucket/in", "/d") if whole else (f"s3://bucket/{name}", luck.choice(PATHS))
        source = pfs.AddFile.URLSource(URL=path, recursive=whole)
        found = {f"/d/{key[3:]}": data for key, data in OUTSIDE.items()}
        writes = [write_of("put" if whole else "append", key, data) for key, data in found.items()]
        if not whole:
            writes = [write_of("append", to, OUTSIDE.get(name, b""))]
        start = pfs.ModifyFileRequest(set_commit=head_msg(at))
        fetched = pfs.ModifyFileRequest(add_file=pfs.AddFile(path=to, url=source))

        def step(change) -> None:
            if not whole and name not in OUTSIDE:
                raise Refused
            change.write(at, writes)

        self.played.do(lambda: self.pfs.ModifyFile(iter([start, fetched])), step)
