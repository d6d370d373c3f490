"""Asking a server which files of a put it has already."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.client.connection import Client
from trunkline.client.known.cache import PutCache
from trunkline.client.sources import LocalFile
from trunkline.errors import Aborted, Unimplemented
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

ASKED = 25_000
"""Files in one question."""


def left_out(client: Client, commit: pfs.Commit, files: Sequence[LocalFile], cache: PutCache) -> tuple[bytes, set[str]]:
    """The stamp of what the server has, and the paths in the commit of the files that are there as they are here.

    Nothing, with an empty stamp, where no file is known or the server cannot be asked. Raises Aborted when what the
    server has changes between two questions, and what it refuses.
    """
    known = [(file.path, file.size_bytes, digest) for file in files if (digest := cache.find(file)) is not None]
    times: dict[str, int] = {}
    for file in files:
        times[file.path] = times.get(file.path, 0) + 1
    known = [one for one in known if times[one[0]] == 1]  # of several for one place the last counts: send them all
    stamp, there = b"", set[str]()
    for start in range(0, len(known), ASKED):
        some = known[start : start + ASKED]
        request = own.CheckFilesRequest(
            commit=commit,
            paths=[path for path, _, _ in some],
            sizes=[size for _, size, _ in some],
            hashes=b"".join([digest for _, _, digest in some]),
        )
        try:
            answer = client.own_files.CheckFiles(request)
        except Unimplemented:
            return b"", set()
        if start and answer.stamp != stamp:
            raise Aborted("the branch changed while the server was asked for its files; put them again")
        stamp = answer.stamp
        there.update(path for (path, _, _), found in zip(some, answer.there, strict=True) if found)
    return (stamp, there) if there else (b"", there)
