"""A load test: commits of what a seed draws, each read back and compared with what it should hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trunkline.ambient import chance
from trunkline.errors import Aborted, FailedPrecondition, NotFound
from trunkline.model.infos import CommitState
from trunkline.model.names import DEFAULT_PROJECT, Branch, Repo
from trunkline.pfs import edits, reads
from trunkline.pfs.files import Files
from trunkline.pfs.graph import commits as graph
from trunkline.pfs.graph import repos as graph_repos
from trunkline.pfs.graph.changes import COMMIT_TOPIC
from trunkline.pfs.loading.spec import LoadSpec

PIECE_BYTES = 1 << 20
WAIT_S = 1.0

Known = dict[str, tuple[int, bytes]]
"""Paths, and how long the files are and their SHA-256."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a test came to. commit: the last one, from which another may go on. error: the first thing that is wrong."""

    branch: Branch
    commit: str
    error: str
    known: Known


def fresh_repo(files: Files, stem: str) -> Repo:
    """A repo of its own for a test, which keeps it: what went wrong can be looked at."""
    repo = Repo(DEFAULT_PROJECT, f"{stem}-{files.ambient.new_id()[:8]}")
    files.catalog.transact(lambda tx: graph_repos.create_repo(tx, repo, "of a load test"))
    return repo


def run_load(
    files: Files, spec: LoadSpec, branch: Branch | None, seed: int, state_id: str, wanted: Callable[[], bool]
) -> Loaded:
    """Write and check. branch None: of a repo of its own. state_id: the commit that must be the branch's head.

    Raises NotFound, FailedPrecondition, Aborted when it is not wanted any more.
    """
    target = branch or Branch(fresh_repo(files, "load-test"), "master")
    known, commit = _begun(files, target, state_id) if branch is not None else ({}, "")
    drawn = chance(seed)
    for _ in range(spec.commits):
        if not wanted():
            raise Aborted("the load test is not wanted any more; what it wrote stays")
        changes = list(_changes(drawn.randrange, drawn.sample, spec, known))
        written = _edits(changes, drawn.randbytes, known)
        commit = edits.modify(files, edits.Target(target.repo, target.name), written).id
        error = check(files, target.repo, commit, known, wanted)
        if error:
            return Loaded(target, commit, error, known)
    return Loaded(target, commit, "", known)


def _begun(files: Files, branch: Branch, state_id: str) -> tuple[Known, str]:
    """What the branch holds, and in which commit."""
    files.catalog.read(lambda tx: graph_repos.inspect_repo(tx, branch.repo))
    try:
        head = reads.need_source(files, branch.repo, branch.name)
    except NotFound:
        if state_id:
            raise
        return {}, ""
    if state_id and head.commit.id != state_id:
        raise FailedPrecondition(f"{branch} has moved on to {head.commit.id}: the test of {state_id} cannot go on")
    return _held(head), head.commit.id


def _changes(
    number: Callable[[int, int], int], some: Callable[[list[str], int], list[str]], spec: LoadSpec, known: Known
) -> Iterator[tuple[str, int | None]]:
    """Paths, and how many bytes they get; None: they go."""
    for path in some(sorted(known), min(spec.deletes, len(known))):
        yield path, None
    for _ in range(spec.files):
        name = number(0, max(1, spec.files * spec.commits))
        yield f"/{number(0, spec.folders)}/{name}", number(spec.min_bytes, spec.max_bytes + 1)


def _edits(
    changes: list[tuple[str, int | None]], content: Callable[[int], bytes], known: Known
) -> Iterator[edits.Edit]:
    """The changes, noted while they are made."""
    for path, size in changes:
        if size is None:
            known.pop(path, None)
        yield edits.Delete(path)
        if size is None:
            continue
        digest = hashlib.sha256()
        for at in range(0, max(size, 1), PIECE_BYTES):
            data = content(min(PIECE_BYTES, size - at))
            digest.update(data)
            yield edits.Add(path, data)
        known[path] = (size, digest.digest())


def check(files: Files, repo: Repo, ref: str, known: Known, wanted: Callable[[], bool]) -> str:
    """What is wrong with a commit once it is finished, "" for nothing. Raises NotFound, Aborted."""
    seen = -1
    while True:
        info = files.catalog.read(lambda tx: graph.inspect_commit(tx, repo, ref))
        if info.state is CommitState.FINISHED:
            break
        if not wanted():
            raise Aborted("the load test is not wanted any more; what it wrote stays")
        seen = files.catalog.wake.wait(seen, WAIT_S, COMMIT_TOPIC)
    if info.error:
        return f"{info.commit}: {info.error}"
    found = _held(reads.need_source(files, repo, ref))
    wrong = sorted(path for path in known.keys() | found.keys() if known.get(path) != found.get(path))
    if not wrong:
        return ""
    first = wrong[0]
    return f"{info.commit}: {len(wrong)} files are not as they should be; {first} {_difference(known, found, first)}"


def _difference(known: Known, found: Known, path: str) -> str:
    if path not in found:
        return "is missing"
    if path not in known:
        return "should not be there"
    if known[path][0] != found[path][0]:
        return f"has {found[path][0]} bytes and not {known[path][0]}"
    return "has other bytes"


def _held(source: reads.Source) -> Known:
    held: Known = {}
    for content in source.view.contents("/"):
        digest = hashlib.sha256()
        for piece in content.read():
            digest.update(piece)
        held[content.path] = (content.size_bytes, digest.digest())
    return held
