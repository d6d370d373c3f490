"""What a simulated story is played in: a pipeline system in memory, stages, a cast, and what is to come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from pps_world import Failed, Inputs, Recovered, Worker, World, cross, glob

from trunkline.ambient import SimulatedAmbient, chance
from trunkline.errors import Unavailable
from trunkline.model.names import Pipeline
from trunkline.model.specs import Egress, PipelineSpec, Service, Spout, Transform
from trunkline.model.specs.spec import Own
from trunkline.pfs.finisher import finish_one
from trunkline.pfs.reads import Source
from trunkline.pps import pipelines
from trunkline.pps.claims import Report
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.inline import InlineCatalog

Tree = dict[str, bytes]

OPEN = "READY"
"""The state of a commit that is being written to, where nothing upstream is unfinished."""
NAMES = ("/a", "/b", "/c", "/d", "/e/x", "/e/y")
BYTES = (b"1", b"22", b"333", b"bad", b"odd", None)
EDGES = Pipeline("default", "edges")
DATA = Pipeline("default", "data")
"""Where files come from: a repo that people write to, or in one shape a spout."""
SETTLED = 60
HOUR_S = 3600.0
SLOW_WORK_S = 61.0
STORIES = 1 << 32
"""Added to the seed of a world that goes on from another one: what was made there must not be given its ids again."""


def code(inputs: Inputs) -> Tree:
    """One file for each that it reads, with what lies beside; bad bytes fail, odd ones are recovered."""
    files = inputs["data"]
    if b"bad" in files.values():
        raise Failed("bad bytes")
    if b"odd" in files.values():
        raise Recovered("odd bytes")
    side = b"".join(data for _, data in sorted(inputs.get("side", {}).items()))
    return {path: data + side for path, data in files.items()}


class Quick(World):
    """A world in memory. start: another one, from whose rows and bytes this one goes on."""

    def __init__(self, folder: Path, seed: int = 0, start: Quick | None = None) -> None:
        self.kept: InlineCatalog | None = None
        self.start = start
        if start is None:
            super().__init__(folder, seed=seed)
            return
        self.folder, self.rehearse = folder, False
        self.ambient = self.clock = SimulatedAmbient(STORIES + seed, start.clock.now_us())
        self.blobs = MemoryBlobs()
        for name in start.blobs.names():
            self.blobs.put(name, start.blobs.get(name))
        self.code = dict(start.code)
        self.open()
        self.controller.recover()

    def open_catalog(self) -> InlineCatalog:
        if self.kept is None:
            self.kept = InlineCatalog(self.folder, self.ambient, self.start.kept if self.start else None)
        else:
            self.kept.reopen()
        return self.kept

    def rows(self, query: str) -> list[tuple]:
        """A look at the rows."""
        assert self.kept is not None
        return self.kept.rows(query)

    def die(self) -> None:
        """A new server on what the old one left."""
        self.files.store.close()
        self.open()
        self.controller.recover()


class Hand(Worker):
    """A worker. held: a report it has not sent yet; sent: the last one it did send."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.held: Report | None = None
        self.sent: Report | None = None

    def claim(self, **more: object) -> bool:
        """Lease a range; each service has workers of its own, who ask for it by name."""
        return super().claim(pipeline=EDGES, **more)  # type: ignore[arg-type]


@cache
def stage(shape: str) -> Quick:
    """Where a story begins: some files, and a pipeline or two whose first jobs are planned, but not run."""
    world = Quick(Path(mkdtemp(prefix="simulated-")))
    if shape == "spouting":
        spec = PipelineSpec(DATA, Transform(cmd=("run",)), None, spout=Spout())
        world.files.change(lambda change: pipelines.create_pipeline(change, spec, "{}"))
    else:
        world.repo()
    world.repo("side")
    world.put({"/a": b"1", "/b": b"22", "/c": b"odd", "/d": b"4", "/e/x": b"5"})
    world.put({"/s": b"s"}, "side")
    more: dict[str, object] = {
        "plain": {},
        "crossed": {"input": cross(glob("/*"), glob("/", "side"))},
        "spare": {"own": Own(on_failure="skip")},
        "every": {"every_job": True},
        "narrow": {"parallelism": 1, "job_timeout_us": 900_000_000},
        "sent": {"egress": Egress(url="s3://bucket/out")},
        "spouting": {},
        "served": {"input": glob("/"), "service": Service(8080)},
    }[shape]  # type: ignore[assignment]
    world.pipeline("edges", code, more.pop("input", glob("/*")), **more)
    world.pump(work=False)
    world.files.store.close()
    return world


SHAPES = ("plain", "plain", "crossed", "spare", "every", "narrow", "sent", "served", "spouting")


class Cast:
    """A world and those who do things in it, as one seed has them."""

    def __init__(self, seed: int) -> None:
        self.chance = chance(seed)
        self.shape = self.chance.choice(SHAPES)
        start = stage(self.shape)
        self.world = Quick(start.folder, seed, start)
        self.counted: set[tuple[int, int, int]] = set()
        self.outside: dict[int, Tree] = {}
        """What came to the place that output is sent to, by the seq of the output commit."""
        self.reachable = 0.7
        """How likely it is that the place takes what is sent."""
        self.hired = 0
        self.workers: list[Hand] = []
        for _ in range(2):
            self.hire()

    def hire(self) -> str:
        """Another worker; there are never more than four that anybody remembers."""
        self.hired += 1
        self.workers = [*self.workers[-3:], Hand(self.world, f"w{self.hired}")]
        return f"w{self.hired}"

    def receive(self, source: Source, below: str, *_: object, wanted: Callable[[], bool]) -> None:
        """As `pfs.outside.sending.send`: the place takes everything, or breaks off in the middle."""
        assert wanted()
        assert not self.world.rows(f"SELECT 1 FROM jobs WHERE output_commit = {source.seq} AND phase = 'ended'")
        files = sorted((one.path, one.bytes()) for one in source.view.contents(below))
        whole = self.chance.random() < self.reachable
        self.outside[source.seq] = dict(files if whole else files[: len(files) // 2])
        if not whole:
            raise Unavailable("no route to host")

    def digest(self) -> str:
        """Where everything is."""
        told = self.world.rows("SELECT seq, phase, gen, total, open, processed, failed, recovered, skipped FROM jobs")
        held = self.world.rows("SELECT job, first, done, last, worker, fence FROM claims ORDER BY job, first")
        return f"{told} {held}"

    def serve(self) -> bool:
        """The server does something of everything that it has to do; whether there was anything."""
        controller = self.world.controller
        moved = not controller._listen()
        while self.world.rows("SELECT 1 FROM instructions LIMIT 1") and not controller._labour():
            moved = True
        while not controller._labour(sends=True):
            moved = True
        for (seq,) in self.world.rows("SELECT seq FROM commits WHERE state = 'FINISHING' ORDER BY seq"):
            finish_one(self.world.files, seq)
            moved = True
        return moved

    def stopped(self, pipeline: Pipeline = EDGES) -> bool:
        """Whether a pipeline is."""
        return bool(self.world.rows(f"SELECT stopped FROM pipelines WHERE name = '{pipeline.name}'")[0][0])

    def head(self) -> str:
        """In which state the newest files are."""
        query = "SELECT c.state FROM commits c JOIN branches b ON b.head = c.seq JOIN repos r ON r.id = b.repo"
        return str(self.world.rows(f"{query} WHERE r.name = 'data' AND r.type = 'user' AND b.name = 'master'")[0][0])

    def spec(self, version: int | None = None) -> PipelineSpec:
        """What the pipeline is to do, in its present version or another."""
        query = (
            "SELECT v.effective_spec FROM pipeline_versions v JOIN pipelines p ON p.key = v.pipeline "
            f"WHERE p.name = 'edges' AND v.version = {version or 'p.version'}"
        )
        return PipelineSpec.from_json(self.world.rows(query)[0][0])


def expected_of(spec: PipelineSpec, trees: dict[str, Tree]) -> Tree:
    """What the code makes of these inputs, datum by datum, by the rules in plain words."""
    pattern = spec.leaves[0].glob
    made: Tree = {}
    for files in datums(pattern, trees["data"]):
        inputs = {"data": files} | ({"side": trees["side"]} if "side" in trees else {})
        with suppress(Recovered, Failed):
            made |= code(inputs)
    return made


def datums(pattern: str, tree: Tree) -> Iterator[Tree]:
    """The files of each datum: `/` is one of all, `/*` one for each top name, `/**/*` one for each file below one."""
    if pattern == "/":
        yield dict(tree)
        return
    if pattern == "/**/*":
        yield from ({path: data} for path, data in tree.items() if path.count("/") == 2)
        return
    for name in sorted({"/" + path.split("/")[1] for path in tree}):
        yield {path: data for path, data in tree.items() if path == name or path.startswith(f"{name}/")}
