"""debug_v2.Debug: dumps and profiles of the server, and how much it logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.api.debug import dump, process
from trunkline.api.debug.dump import About, Part
from trunkline.api.rpc.call import Call
from trunkline.errors import InvalidArgument, NotFound, Unimplemented
from trunkline.model.infos_pps import PipelineInfo
from trunkline.model.names import DEFAULT_PROJECT
from trunkline.wire.gen import debug_v2_pb2 as debug
from trunkline.wire.times import span_us

PROFILES = ("cpu", "heap", "goroutine")
PROFILE_S = 10.0
LONGEST_S = 120.0
SECTIONS = ("version", "database", "describes", "logs", "profiles", "pipelines", "input_repos")
"""What a dump's template may be filtered by."""
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.ERROR, 4: logging.CRITICAL + 1}


class Level:
    """What the server logs for a while, and what it logs else."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._usual = logging.NOTSET

    def change(self, level: int, seconds: float) -> None:
        """Log so much for so long. A later change takes the place of an earlier one."""
        root = logging.getLogger()
        if self._timer is None:
            self._usual = root.level
        else:
            self._timer.cancel()
        root.setLevel(level)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._back)

    def close(self) -> None:
        """Log as usual again. For when no loop runs any more."""
        if self._timer is not None:
            self._back()

    def _back(self) -> None:
        self._timer = None
        logging.getLogger().setLevel(self._usual)


@dataclass(frozen=True, slots=True)
class DebugDoor:
    """What a person needs who is asked why something does not work."""

    about: About
    level: Level
    service: str = field(default="debug_v2.Debug")

    def Dump(self, request: debug.DumpRequest, _call: Call) -> Iterator[BytesValue]:
        """A compressed tar about the whole server, or a part of it. limit: jobs of a pipeline, commits of a repo."""
        if request.limit < 0:
            raise InvalidArgument(f"limit is how many jobs and commits are wanted, 0 meaning some; not {request.limit}")
        parts = self._filtered(request.filter, request.limit or dump.LIMIT)
        for piece in dump.packed(parts, self._now_s()):
            yield BytesValue(value=piece)

    def GetDumpV2Template(
        self, request: debug.GetDumpV2TemplateRequest, _call: Call
    ) -> debug.GetDumpV2TemplateResponse:
        """A request for all there is, to be sent back as it is or with parts left out. filters: only these sections."""
        for name in request.filters:
            if name not in SECTIONS:
                raise InvalidArgument(f'a dump has no section "{name}", only {", ".join(SECTIONS)}')
        wanted = set(request.filters) or set(SECTIONS)
        pachd = [debug.App(name="pachd")]
        system = debug.System(
            version="version" in wanted,
            database="database" in wanted,
            describes=pachd if "describes" in wanted else [],
            logs=pachd if "logs" in wanted else [],
            profiles=pachd if "profiles" in wanted else [],
        )
        found = dump.pipelines(self.about) if "pipelines" in wanted else []
        named = [debug.Pipeline(project=one.pipeline.project, name=one.pipeline.name) for one in found]
        template = debug.DumpV2Request(system=system, pipelines=named, input_repos="input_repos" in wanted)
        return debug.GetDumpV2TemplateResponse(request=template)

    def DumpV2(self, request: debug.DumpV2Request, _call: Call) -> Iterator[debug.DumpChunk]:
        """The same, of what a template says, with progress before each piece."""
        if request.starlark_scripts:
            raise Unimplemented("scripts in a dump are not built; leave starlark_scripts out")
        parts = self._asked(request)
        if not parts:
            raise InvalidArgument("the dump would be empty: name parts of it, as GetDumpV2Template does")
        done = 0

        def count() -> None:
            nonlocal done
            done += 1

        for piece in dump.packed(parts, self._now_s(), count):
            progress = debug.DumpProgress(task="dump", total=len(parts), progress=done)
            yield debug.DumpChunk(progress=progress)
            yield debug.DumpChunk(content=debug.DumpContent(content=piece))

    def Binary(self, request: debug.BinaryRequest, _call: Call) -> Iterator[BytesValue]:
        """A compressed tar of the program that answers: its modules, and the names of all that it is installed with."""
        if request.filter.WhichOneof("filter") not in (None, "pachd"):
            raise InvalidArgument("workers run the program that pachd runs; leave the filter out")
        for piece in dump.packed(dump.program_parts(), self._now_s()):
            yield BytesValue(value=piece)

    def Profile(self, request: debug.ProfileRequest, call: Call) -> Iterator[BytesValue]:
        """What the server does, as text: `cpu` in folded stacks, `heap` by kinds of objects, `goroutine` by threads."""
        name = request.profile.name
        if name not in PROFILES:
            raise InvalidArgument(f'there is no profile "{name}" of a program in Python, only {", ".join(PROFILES)}')
        if request.filter.WhichOneof("filter") not in (None, "pachd"):
            raise InvalidArgument("only pachd itself is profiled; leave the filter out")
        match name:
            case "heap":
                made = process.objects()
            case "goroutine":
                made = process.stacks()
            case _:
                seconds = span_us(request.profile.duration) / 1e6 or PROFILE_S
                if not 0 < seconds <= LONGEST_S:
                    raise InvalidArgument(f"a profile takes up to {LONGEST_S:.0f} s, not {seconds:g} s")
                made = process.sampled(self.about.files.ambient, seconds, call.wanted)
        yield BytesValue(value=made.encode())

    async def SetLogLevel(self, request: debug.SetLogLevelRequest, _call: Call) -> debug.SetLogLevelResponse:
        """Log more, or less, for a while."""
        if request.WhichOneof("level") != "pachyderm":
            raise InvalidArgument("only the level of the server's own lines can be set: name it as `pachyderm`")
        level = _LEVELS.get(request.pachyderm)
        if level is None:
            raise InvalidArgument("a level is DEBUG, INFO, ERROR or OFF")
        seconds = span_us(request.duration) / 1e6
        if seconds <= 0:
            raise InvalidArgument("say for how long, as a duration above 0")
        self.level.change(level, seconds)
        return debug.SetLogLevelResponse(affected_pods=["pachd"])

    def _now_s(self) -> int:
        return self.about.files.ambient.now_us() // 1_000_000

    def _filtered(self, only: debug.Filter, limit: int) -> list[Part]:
        match only.WhichOneof("filter"):
            case "database":
                return dump.database_parts(self.about)
            case "pipeline":
                named = (only.pipeline.project.name or DEFAULT_PROJECT, only.pipeline.name)
                return self._of_pipelines([named], limit)
            case "worker":
                raise InvalidArgument("workers keep nothing of their own: what they log is in the dump of a pipeline")
            case kind:
                machine = [*dump.version_parts(), *dump.machine_parts(self.about), *dump.log_parts(self.about)]
                machine += [*dump.profile_parts(), *dump.database_parts(self.about)]
                return machine if kind == "pachd" else [*machine, *self._of_pipelines(None, limit), *self._repos(limit)]

    def _asked(self, request: debug.DumpV2Request) -> list[Part]:
        system = request.system
        chosen = [
            (system.version, dump.version_parts),
            (len(system.describes), lambda: dump.machine_parts(self.about)),
            (len(system.logs) + len(system.loki_logs), lambda: dump.log_parts(self.about)),
            (len(system.profiles) + len(system.binaries), dump.profile_parts),
            (system.database, lambda: dump.database_parts(self.about)),
        ]
        parts = [part for wanted, made in chosen if wanted for part in made()]
        named = [(one.project or DEFAULT_PROJECT, one.name) for one in request.pipelines]
        parts += self._of_pipelines(named, dump.LIMIT) if named else []
        return parts + (self._repos(dump.LIMIT) if request.input_repos else [])

    def _of_pipelines(self, named: Sequence[tuple[str, str]] | None, limit: int) -> list[Part]:
        """Of these pipelines; None: of all."""
        found: dict[tuple[str, str], PipelineInfo] = {
            (one.pipeline.project, one.pipeline.name): one for one in dump.pipelines(self.about)
        }
        for project, name in named or ():
            if (project, name) not in found:
                raise NotFound(f"pipeline {project}/{name} does not exist")
        wanted = found.values() if named is None else [found[one] for one in named]
        return [part for info in wanted for part in dump.pipeline_parts(self.about, info, limit)]

    def _repos(self, limit: int) -> list[Part]:
        return [part for repo in dump.input_repos(self.about) for part in dump.repo_parts(self.about, repo, limit)]
