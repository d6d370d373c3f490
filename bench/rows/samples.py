"""What the rows work on: files, trees of them, requests and specs."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trunkline.client.connection import Client
from trunkline.testing.calls import edits, on
from trunkline.wire import frames
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

MIB = 1 << 20
SMALL_FILE_BYTES = 3000
FILES_A_FOLDER = 1000
BULK_PUT = "/trunkline.v1.Files/BulkPut"


def random_file(path: Path, size_bytes: int) -> None:
    """A file of bytes that nothing can compress or has seen before."""
    with path.open("wb") as file:
        for start in range(0, size_bytes, 8 * MIB):
            file.write(os.urandom(min(8 * MIB, size_bytes - start)))
        file.flush()
        os.fsync(file.fileno())


def small_text(chance: random.Random, words: list[str], seed: int, index: int) -> str:
    """A text of 3 KB, different for each seed and index."""
    return (f"{seed} {index}\n" + " ".join(chance.choices(words, k=260)))[:SMALL_FILE_BYTES]


def small_path(index: int) -> str:
    """Where the `index`-th small file lies: a thousand a folder."""
    return f"d{index // FILES_A_FOLDER:04}/f{index:06}.txt"


def small_files(folder: Path, count: int, seed: int, every: int = 1) -> None:
    """`count` text-like files of 3 KB, each different; written anew if they are there. every: only each such one."""
    chance = random.Random(seed)
    words = [chance.randbytes(6).hex() for _ in range(500)]
    for index in range(0, count, every):
        path = folder / small_path(index)
        path.parent.mkdir(exist_ok=True)
        path.write_text(small_text(chance, words, seed, index))


def bulk(repo: pfs.Repo, count: int, body: bytes, flat: bool = False) -> Iterator[bytes]:
    """The messages that put `count` small files in a commit: each holds `body` and its number. flat: in the root."""
    yield own.BulkPutRequest(target=own.BulkTarget(commit=on(repo))).SerializeToString()
    for first in range(0, count, FILES_A_FOLDER):
        span = range(first, min(first + FILES_A_FOLDER, count))
        contents = [b"%d %b" % (index, body) for index in span]
        paths = [f"/f{index:06}" if flat else f"/{small_path(index)}" for index in span]
        named = own.SmallFiles(paths=paths, sizes=list(map(len, contents))).SerializeToString()
        yield b"".join(frames.delimited(2, named, *frames.delimited(3, *contents)))


def make_repo(client: Client, name: str) -> pfs.Repo:
    """A new repo."""
    repo = named_repo(name)
    client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=repo))
    return repo


def named_repo(name: str) -> pfs.Repo:
    """A repo of the default project."""
    return pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))


def put(client: Client, repo: pfs.Repo, path: str, data: bytes, branch: str = "master") -> None:
    """Put one file in a commit of its own, by the public call."""
    client.pfs.ModifyFile(iter(edits(on(repo, branch), {path: data})))


def finished(client: Client, repo: pfs.Repo, branch: str = "master") -> pfs.CommitInfo:
    """The head of a branch, once it is finished. Raises RuntimeError if it has an error."""
    info = client.pfs.InspectCommit(pfs.InspectCommitRequest(commit=on(repo, branch), wait=pfs.FINISHED))
    if info.error:
        raise RuntimeError(f"{repo.name}@{branch} finished with an error: {info.error}")
    return info


def spec(name: str, source: str, command: str, glob: str = "/*", **fields: Any) -> dict[str, Any]:
    """A pipeline that runs a line of shell for each datum of one repo."""
    return {
        "pipeline": {"name": name},
        "transform": {"cmd": ["sh"], "stdin": [command]},
        "input": {"pfs": {"repo": source, "glob": glob}},
    } | fields
