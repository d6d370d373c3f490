"""A whole pipeline system in one thread: real catalog, storage and file system, and a worker that runs functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from trunkline.ambient import Ambient, SimulatedAmbient
from trunkline.catalog.engine import Catalog
from trunkline.catalog.work import checks
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.errors import Aborted, TrunklineError
from trunkline.model.infos_pps import JobInfo
from trunkline.model.jobs import DatumState
from trunkline.model.names import MASTER, Branch, Job, Pipeline, Repo
from trunkline.model.results import CODE, results
from trunkline.model.specs import Combination, Input, PfsInput, PipelineSpec, Transform
from trunkline.pfs import edits, reads
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.pfs.sessions import Session
from trunkline.pps import claims, jobs, machine, pipelines
from trunkline.pps.claims import Handed, Report
from trunkline.pps.controller import Controller, Pps
from trunkline.pps.datums.preview import wanted_of
from trunkline.pps.datums.records import Records
from trunkline.pps.images.resolving import Rules
from trunkline.pps.secrets import Vault
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.catalogs import assert_sound, open_catalog

Inputs = dict[str, dict[str, bytes]]
"""What a datum sees: for each input its files by path."""
Code = Callable[[Inputs], Mapping[str, bytes]]

DATA = Repo("default", "data")


class Failed(Exception):
    """User code that fails."""


class Recovered(Exception):
    """User code that fails, and an err_cmd that does not."""


def copy(inputs: Inputs) -> dict[str, bytes]:
    """The files of all inputs as they are, under their own paths."""
    return {path: data for files in inputs.values() for path, data in files.items()}


def glob(pattern: str, repo: str = "data", **more: object) -> PfsInput:
    """A pfs input of the default project."""
    return PfsInput("default", repo, pattern, str(more.pop("name", repo)), **more)  # type: ignore[arg-type]


def cross(*members: Input) -> Combination:
    """A cross of inputs."""
    return Combination("cross", members)


class Worker:
    """Runs Python functions as user code, through the real surface for workers."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.session = Session(world.files.catalog, "worker")
        self.handed: Handed | None = None
        self.at = 0
        self.ran: list[tuple[str, str]] = []

    def claim(self, **more: int) -> bool:
        """Lease a range."""
        world = self.world
        self.handed = claims.hand_out(world.files, world.pps.tables, self.name, self.session.gen, **more)
        self.at = self.handed.leased.claim.done if self.handed else 0
        return self.handed is not None

    def work(self, count: int | None = None) -> bool:
        """Run `count` datums of the range (all), and report them; whether there was anything to do."""
        if self.handed is None and not self.claim():
            return False
        self.send(self.prepare(count))
        return True

    def prepare(self, count: int | None = None) -> Report:
        """Run `count` datums of the range (all), and keep what is to be told of them."""
        handed = self.handed
        assert handed is not None
        claim = handed.leased.claim
        last = claim.last if count is None else min(claim.last, self.at + count)
        store = self.world.files.store
        writer = store.writer(self.session)
        rows = [self._run(handed, position, writer) for position in range(self.at, last)]
        output = tuple(one for one in writer.seal() if one.rows)
        return Report(self.name, self.session.gen, claim.id, claim.fence, last, output, results(rows))

    def send(self, report: Report) -> None:
        """Report. Raises Aborted when the range is not this worker's any more."""
        try:
            done, end = self.world.files.catalog.transact(lambda tx: claims.report(tx, report))
        except Aborted:
            self.handed = None
            raise
        self.at = done
        if done >= end:
            self.handed = None

    def _run(self, handed: Handed, position: int, writer: object) -> dict[str, object]:
        row = position - handed.leased.claim.done
        elements = handed.datums.datum(row)
        datum = handed.datums.ids[row].as_py().hex()
        held = {one.commit.repo: one.filesets for one in handed.inputs}
        inputs: Inputs = {}
        for element in elements:
            view = self.world.files.view(held[element.slot.source])
            prefix = element.path if not element.is_dir or element.path == "/" else f"{element.path}/"
            seen = inputs.setdefault(element.slot.name, {})
            seen.update({one.path: one.bytes() for one in view.contents(prefix)})
        pipeline = handed.leased.job.job.pipeline.name
        self.ran.append((pipeline, ",".join(element.path for element in elements)))
        result: dict[str, object] = {"row": position, "tries": 1, "process_us": 5, "download_bytes": 1}
        size = sum(len(data) for files in inputs.values() for data in files.values())
        result |= {"cpu_us": 10 * size, "memory_bytes": 100 + size}
        try:
            made = self.world.code[pipeline](inputs)
        except (Failed, Recovered) as error:
            state = DatumState.FAILED if isinstance(error, Failed) else DatumState.RECOVERED
            return {**result, "state": CODE[state], "reason": f"exit 1: {error}"}
        for path, data in made.items():
            writer.put(path, data, datum=datum, append=True)  # type: ignore[attr-defined]
        return {**result, "state": CODE[DatumState.SUCCESS], "upload_bytes": sum(map(len, made.values()))}


class World:
    """Everything, and the verbs that tests use."""

    def __init__(self, folder: Path, *, rehearse: bool = False, seed: int = 7, ambient: Ambient | None = None) -> None:
        self.folder = folder
        self.rehearse = rehearse
        self.clock = SimulatedAmbient(seed)
        self.ambient: Ambient = ambient or self.clock
        self.blobs = MemoryBlobs()
        self.code: dict[str, Code] = {}
        self.open()
        self.files.catalog.transact(repos.ensure_default_project)

    def open(self) -> None:
        """Open the catalog, as a server that starts does."""
        catalog = self.open_catalog()
        store = Store(self.blobs, self.folder / "cache", self.ambient)
        self.files = Files(
            catalog, store, self.ambient, machine.create_job, Records(), on_removed_commits=machine.commits_removed
        )
        self.pps = Pps.of(self.files, Vault(self.folder / "secrets.key", self.ambient))
        self.controller = Controller(self.pps)
        self.worker = Worker(self, "w1")

    def open_catalog(self) -> Catalog:
        """The catalog of a server that starts."""
        return open_catalog(self.folder / "data", self.ambient, rehearse=self.rehearse)

    def check(self) -> None:
        """Every promise about jobs holds."""
        wrong = self.files.catalog.read(lambda tx: list(checks.violations(tx)))
        assert not wrong, wrong

    def close(self) -> None:
        """Let go of everything but blobs and rows, which must be sound."""
        self.check()
        self.files.store.close()
        assert_sound(self.files.catalog)
        self.files.catalog.close()

    def reopen(self) -> None:
        """As after a kill: a new server on what the old one left."""
        self.close()
        self.open()
        self.controller.recover()

    # --- what people do

    def repo(self, name: str = "data") -> Repo:
        """Make a repo."""
        repo = Repo("default", name)
        self.files.catalog.transact(lambda tx: repos.create_repo(tx, repo))
        return repo

    def put(self, files: Mapping[str, bytes | None], repo: str = "data") -> str:
        """Write files (None: delete), in one commit; its id."""
        stream: list[Delete | Add] = [Delete(path) for path in files]
        stream += [Add(path, data) for path, data in files.items() if data is not None]
        return edits.modify(self.files, Target(Repo("default", repo), MASTER), stream).id

    def pipeline(self, name: str, code: Code, input: Input, *, update: bool = False, **more: object) -> None:
        """Make a pipeline that runs a function."""
        self.code[name] = code
        reprocess = bool(more.pop("reprocess", False))
        rules = more.pop("rules", Rules())
        spec = PipelineSpec(Pipeline("default", name), Transform(cmd=("run", name)), input)
        spec = replace(spec, **more)  # type: ignore[arg-type]
        self.files.change(
            lambda change: pipelines.create_pipeline(
                change, spec, "{}", update=update, reprocess=reprocess, rules=rules
            )  # type: ignore[arg-type]
        )

    def transform(self, command: str) -> Transform:
        """Another command line; the function that runs stays the same."""
        return Transform(cmd=("run", command))

    # --- what the server does

    def pump(self, *, work: bool = True, rounds: int = 200) -> None:
        """Let everything that waits happen, until nothing does."""
        for _ in range(rounds):
            moved = self.controller.step()
            moved = bool(finish_waiting(self.files)) or moved
            try:
                moved = (work and self.worker.work()) or moved
            except Aborted:  # its claim was closed meanwhile
                moved = True
            if not moved:
                self.check()
                return
        raise AssertionError("it does not come to rest")

    # --- what can be seen

    def jobs(self, name: str) -> list[JobInfo]:
        """The jobs of a pipeline, newest first."""
        pipeline = Pipeline("default", name)
        return self.files.catalog.read(lambda tx: jobs.list_jobs(tx, pipeline=pipeline, details=True))

    def last(self, name: str) -> JobInfo:
        """The newest job of a pipeline."""
        return self.jobs(name)[0]

    def counts(self, name: str) -> str:
        """State and counts of the newest job: `SUCCESS 1+3/4`, with failed and recovered where there are any."""
        job = self.last(name)
        text = f"{job.state.value} {job.data_processed}+{job.data_skipped}/{job.data_total}"
        text += f" failed={job.data_failed}" if job.data_failed else ""
        return text + (f" recovered={job.data_recovered}" if job.data_recovered else "")

    def has(self, name: str) -> bool:
        """Whether there is such a pipeline."""
        pipeline = Pipeline("default", name)
        return self.files.catalog.read(lambda tx: pipeline_rows.find_pipeline(tx, pipeline)) is not None

    def content(self, name: str, ref: str = MASTER) -> dict[str, bytes]:
        """All files of a branch or commit, finished first if it is closed."""
        finish_waiting(self.files)
        source = reads.need_source(self.files, Repo("default", name), ref)
        return {one.path: one.bytes() for one in source.view.contents("/")}

    def opened(self, root: Input) -> dict[Repo, reads.Source]:
        """What an input reads."""
        return {repo: reads.need_source(self.files, repo, ref) for repo, ref in wanted_of(root).items()}

    def content_of_meta(self, name: str, ref: str) -> dict[str, bytes]:
        """All records of a pipeline's commit."""
        source = reads.need_source(self.files, Repo("default", name, "meta"), ref)
        return {one.path: one.bytes() for one in source.view.contents("/")}

    def row(self, job: Job) -> job_rows.JobRow:
        """A job's row."""
        found = self.files.catalog.read(lambda tx: job_rows.find_job(tx, job))
        assert found is not None
        return found

    def branch(self, name: str) -> Branch:
        """The output branch of a pipeline."""
        return Branch(Repo("default", name), MASTER)


__all__ = ["DATA", "Failed", "Recovered", "TrunklineError", "Worker", "World", "copy", "cross", "glob"]
