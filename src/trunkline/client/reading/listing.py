"""Files listed: by the server's own call, many to a message, or by the public one where it has no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from trunkline.client.connection import Client
from trunkline.errors import Unimplemented
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

Request = TypeVar("Request")


def list_files(client: Client, request: pfs.ListFileRequest) -> Iterator[pfs.FileInfo]:
    """What `pfs_v2.API/ListFile` answers."""
    return _listed(client.own_files.ListFiles, client.pfs.ListFile, request)


def glob_files(client: Client, request: pfs.GlobFileRequest) -> Iterator[pfs.FileInfo]:
    """What `pfs_v2.API/GlobFile` answers."""
    return _listed(client.own_files.GlobFiles, client.pfs.GlobFile, request)


def _listed(
    ours: Callable[[Request], Iterator[own.FileList]],
    public: Callable[[Request], Iterator[pfs.FileInfo]],
    request: Request,
) -> Iterator[pfs.FileInfo]:
    pages = ours(request)
    try:
        first = next(pages, None)
    except Unimplemented:
        yield from public(request)
        return
    if first is not None:
        yield from first.files
    for page in pages:
        yield from page.files
