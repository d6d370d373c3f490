"""Commits, commit sets and files as rows and details."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from trunkline.cli.show import units
from trunkline.cli.show.repos import Pairs, When, repo_name
from trunkline.cli.show.tables import Cell, Row
from trunkline.wire.gen import pfs_v2_pb2 as pfs

COMMIT_HEADER = ("PROJECT", "REPO", "COMMIT", "FINISHED", "SIZE", "ORIGIN", "CREATOR", "DESCRIPTION")
SET_HEADER = ("ID", "SUBCOMMITS", "PROGRESS", "CREATED", "MODIFIED")

_BAR_CELLS = 8


def commit_row(info: pfs.CommitInfo, when: When) -> Row:
    """A commit. FINISHED is `-` while it is open."""
    repo = commit_repo(info.commit)
    description = info.description
    if info.error:
        description = f"{description} (error: {units.cut(info.error, 60)})".strip()
    finished = when(info.finished) if info.HasField("finished") else "-"
    return (
        repo.project.name,
        repo_name(repo),
        Cell(info.commit.id, "red" if info.error else ""),
        finished,
        _size(info),
        pfs.OriginKind.Name(info.origin.kind),
        info.created_by or "-",
        description,
    )


def commit_details(info: pfs.CommitInfo, when: When) -> Pairs:
    """A commit in full."""
    repo = repo_name(commit_repo(info.commit))
    yield "Commit", f"{repo}@{info.commit.id}"
    if info.commit.branch.name:
        yield "Original Branch", info.commit.branch.name
    if info.description:
        yield "Description", info.description
    if info.HasField("parent_commit") and info.parent_commit.id:
        yield "Parent", info.parent_commit.id
    yield "Started", when(info.started)
    if info.HasField("finishing") and not info.HasField("finished"):
        yield "Finishing", when(info.finishing)
    if info.HasField("finished"):
        yield "Finished", when(info.finished)
    yield "Size", _size(info)
    if info.direct_provenance:
        yield "Provenance", " ".join(_commit_name(one) for one in info.direct_provenance)
    if info.created_by:
        yield "Created by", info.created_by
    if info.error:
        yield "Error", info.error
    if info.metadata:
        yield "Metadata", ", ".join(f"{key}={value}" for key, value in sorted(info.metadata.items()))


def set_row(info: pfs.CommitSetInfo, when: When) -> Row:
    """A commit set: how many commits, how many of them are finished."""
    done = sum(1 for one in info.commits if one.HasField("finished"))
    starts = [one.started for one in info.commits if one.HasField("started")]
    moves = [*starts, *(one.finished for one in info.commits if one.HasField("finished"))]
    return (
        info.commit_set.id,
        str(len(info.commits)),
        bar(done, len(info.commits)),
        when(min(starts, key=_instant)) if starts else "-",
        when(max(moves, key=_instant)) if moves else "-",
    )


def bar(done: int, total: int, failed: int = 0) -> str:
    """Progress in eight cells: what is done, what failed, what is left."""
    if total <= 0:
        return "-" * _BAR_CELLS
    good = round(_BAR_CELLS * done / total)
    bad = min(_BAR_CELLS - good, max(1, round(_BAR_CELLS * failed / total)) if failed else 0)
    return "▇" * good + "X" * bad + "-" * (_BAR_CELLS - good - bad)


def file_header(tagged: bool) -> Sequence[str]:
    """The columns of files; meta repos also show the datum a file is of."""
    return ("SIZE", "TAG", "NAME") if tagged else ("SIZE", "NAME")


def file_row(info: pfs.FileInfo, tagged: bool) -> Row:
    """A file; a directory ends in a slash."""
    name = info.file.path
    if info.file_type == pfs.DIR and not name.endswith("/"):
        name += "/"
    size = units.size(info.size_bytes)
    return (size, info.file.datum or "-", name) if tagged else (size, name)


def timed_file_header(tagged: bool) -> Sequence[str]:
    """The columns of files with `-T`: also when each was committed."""
    return (*file_header(tagged)[:-1], "COMMITTED", "NAME")


def timed_file_row(info: pfs.FileInfo, tagged: bool, when: When) -> Row:
    """A file, with the moment it was committed."""
    *first, name = file_row(info, tagged)
    return (*first, when(info.committed), name)


def file_details(info: pfs.FileInfo) -> Pairs:
    """A file in full."""
    yield "Path", info.file.path
    if info.file.datum and info.file.datum != "default":
        yield "Datum", info.file.datum
    yield "Type", "dir" if info.file_type == pfs.DIR else "file"
    yield "Size", units.size(info.size_bytes)
    yield "Hash", info.hash.hex()


def commit_repo(commit: pfs.Commit) -> pfs.Repo:
    """The repo that a commit is of, wherever the server put it."""
    return commit.repo if commit.repo.name else commit.branch.repo


def _commit_name(commit: pfs.Commit) -> str:
    repo = commit_repo(commit)
    return f"{repo.project.name or 'default'}/{repo_name(repo)}@{commit.id}"


def _size(info: pfs.CommitInfo) -> str:
    if info.HasField("details") and info.HasField("finished"):
        return units.size(info.details.size_bytes)
    return f"≤ {units.size(info.size_bytes_upper_bound)}"


def _instant(moment: Timestamp) -> tuple[int, int]:
    return moment.seconds, moment.nanos
