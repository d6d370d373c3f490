"""A dump: files about the server and its pipelines, as one compressed tar.

A file that cannot be made is there as its error: what is broken must not keep the rest from being seen.
"""

from __future__ import annotations

import io
import json
import platform
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

import trunkline
from trunkline import __version__
from trunkline.api.debug import process
from trunkline.api.debug.redacting import redacted, text
from trunkline.catalog.collection import figures
from trunkline.model.infos_pps import LogLine, PipelineInfo
from trunkline.model.names import Repo
from trunkline.pfs.files import Files
from trunkline.pfs.graph import commits as pfs_commits
from trunkline.pfs.graph import repos as pfs_repos
from trunkline.pps import jobs as pps_jobs
from trunkline.pps import logs as pps_logs
from trunkline.pps.logs import LogQuery
from trunkline.wire import infos, infos_pps
from trunkline.wire.times import timestamp

LIMIT = 20
"""Jobs of a pipeline, and commits of a repo, unless told otherwise."""
LINES = 2000
"""Lines of a pipeline's log."""
LOG_US = 86_400_000_000
"""Of the last day."""
PIECE_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class About:
    """What a dump is made of. settings: without secrets. log: the server's last lines; happened: events of workers."""

    files: Files
    settings: Mapping[str, object]
    log: Callable[[], list[str]]
    happened: Callable[[], list[str]]


@dataclass(frozen=True, slots=True)
class Part:
    """One file."""

    name: str
    make: Callable[[], str]


def version_parts() -> list[Part]:
    """What runs."""
    found = {
        "trunkline": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    return [Part("version.json", partial(_json, found)), Part("packages.txt", process.packages)]


def program_parts() -> list[Part]:
    """The program itself, as it lies on the disk: to compare with a release, and to read a stack beside."""
    root = Path(trunkline.__file__).parent
    sources = sorted(root.rglob("*.py"))
    return [*version_parts(), *(Part(f"pachd/{one.relative_to(root.parent)}", one.read_text) for one in sources)]


def machine_parts(about: About) -> list[Part]:
    """How it was set up, and what the kernel says of it."""
    return [
        Part("pachd/settings.json", partial(_json, about.settings)),
        Part("pachd/status.txt", process.status),
        Part("pachd/events.txt", lambda: text("\n".join(about.happened()))),
    ]


def log_parts(about: About) -> list[Part]:
    """The server's own log."""
    return [Part("pachd/log.txt", lambda: text("\n".join(about.log()) + "\n"))]


def profile_parts() -> list[Part]:
    """Where its threads are, and what it holds."""
    return [Part("pachd/stacks.txt", process.stacks), Part("pachd/heap.txt", process.objects)]


def database_parts(about: About) -> list[Part]:
    """How large the catalog is, and what storage holds."""
    catalog = about.files.catalog

    def sizes() -> str:
        return _json({path.name: path.stat().st_size for path in sorted(catalog.folder.glob("catalog*"))})

    return [
        Part("database/files.json", sizes),
        Part("database/rows.json", lambda: _json(catalog.read(figures.table_rows))),
        Part("database/events.json", lambda: _json({"newest": catalog.wake.seq})),
    ]


def pipeline_parts(about: About, info: PipelineInfo, limit: int) -> list[Part]:
    """A pipeline: its spec, its last jobs, the end of its log."""
    files = about.files
    query = LogQuery(pipeline=info.pipeline, everything=True, since_us=files.ambient.now_us() - LOG_US)
    folder = f"pipelines/{info.pipeline.project}/{info.pipeline.name}"

    def jobs() -> str:
        found = files.catalog.read(
            lambda tx: pps_jobs.list_jobs(tx, projects=[], pipeline=info.pipeline, limit=limit, details=True)
        )
        return _json([_shown(infos_pps.job_info(one)) for one in found])

    return [
        Part(f"{folder}/spec.json", lambda: _json(_shown(infos_pps.pipeline_info(info)))),
        Part(f"{folder}/jobs.json", jobs),
        Part(f"{folder}/log.txt", lambda: _log(files, query)),
    ]


def repo_parts(about: About, repo: Repo, limit: int) -> list[Part]:
    """A repo that no pipeline writes: its last commits."""

    def made() -> str:
        found = about.files.catalog.read(lambda tx: pfs_commits.commit_page(tx, repo, limit=limit))
        return _json([_shown(infos.commit_info(one)) for one in found])

    return [Part(f"input-repos/{repo.project}/{repo.name}/commits.json", made)]


def pipelines(about: About) -> list[PipelineInfo]:
    """All of them."""
    return about.files.catalog.read(pps_jobs.list_pipelines)


def input_repos(about: About) -> list[Repo]:
    """Repos that no pipeline writes."""
    written = {(one.pipeline.project, one.pipeline.name) for one in pipelines(about)}
    found = about.files.catalog.read(lambda tx: pfs_repos.list_repos(tx, []))
    return [one.repo for one in found if (one.repo.project, one.repo.name) not in written]


def packed(parts: list[Part], now_s: int, done: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """The tar, in pieces. done: told after each file."""
    sink = _Sink()
    with tarfile.open(mode="w|gz", fileobj=sink) as tar:
        for part in parts:
            name, data = _made(part)
            entry = tarfile.TarInfo(f"dump/{name}")
            entry.size, entry.mtime, entry.mode = len(data), now_s, 0o600
            tar.addfile(entry, io.BytesIO(data))
            done()
            yield from sink.take(PIECE_BYTES)
    yield from sink.take(0)


def _made(part: Part) -> tuple[str, bytes]:
    try:
        return part.name, part.make().encode(errors="replace")
    except Exception as error:
        return f"{part.name}.error", text(f"{type(error).__name__}: {error}\n").encode(errors="replace")


class _Sink(io.RawIOBase):
    """Takes what tarfile writes, until somebody takes it away."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Keep it."""
        self._data += data
        return len(data)

    def take(self, least: int) -> Iterator[bytes]:
        """All, in pieces, if there is so much."""
        if not self._data or len(self._data) < least:
            return
        whole, self._data = bytes(self._data), bytearray()
        for at in range(0, len(whole), PIECE_BYTES):
            yield whole[at : at + PIECE_BYTES]


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def _shown(message: Message) -> object:
    return redacted(MessageToDict(message))


def _log(files: Files, query: LogQuery) -> str:
    lines: list[str] = []
    after, more = 0, True
    while more:
        page = files.catalog.read(partial(pps_logs.page, query=query, after=after))
        lines = [*lines, *(_line(one) for one in page.lines)][-LINES:]
        after, more = page.after, page.more
    return text("\n".join(lines) + "\n")


def _line(line: LogLine) -> str:
    who = "/".join(part for part in (line.worker, line.job, line.datum) if part)
    return f"{timestamp(line.at_us).ToJsonString()} {who or 'pachd'}: {line.message}"
