"""The rooms below the doors, built from the settings."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from trunkline.ambient import Ambient
from trunkline.api.about import AdminDoor, EnterpriseDoor, LicenseDoor, VersionDoor
from trunkline.api.backups import BackupDoor
from trunkline.api.debug.door import DebugDoor, Level
from trunkline.api.debug.dump import About
from trunkline.api.debug.loading import DebugLoadDoor, FileLoadDoor, PipelineLoadDoor
from trunkline.api.debug.recent import RecentLines
from trunkline.api.files.checks import CheckDoor
from trunkline.api.files.commits import CommitDoor
from trunkline.api.files.everything import AllFilesDoor
from trunkline.api.files.handover import Handed
from trunkline.api.files.history import PastDoor, RemovalDoor
from trunkline.api.files.images import ImageDoor
from trunkline.api.files.outside import EgressDoor
from trunkline.api.files.reads import FetchDoor, ListDoor, ReadDoor
from trunkline.api.files.repos import RepoDoor
from trunkline.api.files.writes import BulkDoor, ModifyDoor
from trunkline.api.lent.filesets import CacheDoor, FileSetDoor
from trunkline.api.lent.storage import StorageDoor
from trunkline.api.metadata import MetadataDoor
from trunkline.api.moving import MovingDoor
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.doors import Door, Recorder
from trunkline.api.rpc.events import Events
from trunkline.api.rpc.settling import Settling
from trunkline.api.rpc.tokens import WorkerTokens
from trunkline.api.space import SpaceDoor
from trunkline.api.transactions.door import CallRecorder, TransactionDoor
from trunkline.api.transactions.members import Requests, members
from trunkline.api.versions.merges import MergeDoor
from trunkline.api.versions.purges import PurgeDoor
from trunkline.api.versions.tags import TagDoor
from trunkline.api.work.datums import DatumDoor
from trunkline.api.work.defaults import DefaultsDoor
from trunkline.api.work.everything import AllPipelinesDoor
from trunkline.api.work.jobs import JobDoor
from trunkline.api.work.logs import LogDoor
from trunkline.api.work.own import OwnDatumDoor
from trunkline.api.work.pipelines import PipelineDoor
from trunkline.api.work.search import ClusterLogDoor, LogsDoor
from trunkline.api.work.secrets import SecretDoor
from trunkline.api.workers.door import WorkerDoor
from trunkline.api.workers.pod_images import PodImages
from trunkline.app.config import Config, origin_of, settings, shown
from trunkline.app.containers.side import ContainerSide
from trunkline.app.identity import identity_of, open_vault, shared_identity
from trunkline.app.leading.loops import Loops
from trunkline.app.leading.terms import Leading
from trunkline.app.pool import Site, open_pool
from trunkline.app.standing import StandingWorkers
from trunkline.catalog.engine import Catalog
from trunkline.catalog.metadata import cluster_metadata
from trunkline.fleet.happened import Happened
from trunkline.fleet.local import LocalFleet
from trunkline.gateway.repos.shop import RepoShop
from trunkline.pfs.backups.restoring import Restoring, finish_restore, finish_restore_into
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.collection.space import Space
from trunkline.pfs.files import Files, on_damage
from trunkline.pfs.graph.repos import ensure_default_project
from trunkline.pfs.graph.transactions import Transactions
from trunkline.pfs.lent.leases import Leases
from trunkline.pfs.lent.links import Links
from trunkline.pfs.purging.asking import Purging
from trunkline.pps import claims
from trunkline.pps.controller import Pps
from trunkline.pps.datums import with_progress
from trunkline.pps.datums.purged import Lineage
from trunkline.pps.datums.records import Records
from trunkline.pps.images.resolving import Rules
from trunkline.pps.machine import commits_removed, create_job
from trunkline.storage import Store
from trunkline.storage.blobs import open_blobs
from trunkline.worker.rungs import Rung

if TYPE_CHECKING:
    from trunkline.app.pods.side import PodOwner, PodSide

SECRETS_KEY = "secrets.key"
"""The file in the data folder with the key of all secrets."""

TOKENS = "tokens of workers"
"""What the tokens of workers in pods are derived for, of the key of all secrets: pods outlive a server."""

BACKUPS = "backups"
"""The folder in the data folder for copies of the catalog, while backups are made."""


class Engine:
    """Everything that blocks, opened on one data folder."""

    def __init__(self, config: Config, ambient: Ambient, catalog: Catalog, rung: Rung | None) -> None:
        self._config = config
        self._ambient = ambient
        self._rung = rung
        self._identity = shared_identity(identity_of(config.data, ambient, config.storage), catalog)
        self._mine = "" if catalog.alone else self._identity.folder[:8]
        """What the names of this server's own workers have in them, among those of others."""
        self._catalog = catalog
        self._blobs = open_blobs(config.blobs, self._identity.cluster_id)
        self._store = Store(
            self._blobs,
            config.data / "cache",
            ambient,
            cache_bytes=config.index_cache_bytes,
            read_cache_bytes=config.cache_bytes,
            on_damage=on_damage(catalog),
        )
        self._files = Files(catalog, self._store, ambient, create_job, Records(), on_removed_commits=commits_removed)
        key = config.key_file or config.data / SECRETS_KEY
        self._pps = Pps.of(self._files, open_vault(catalog, key, ambient, given=config.key_file is not None))
        self._containers = ContainerSide(config.containers, self._identity.folder or self._identity.cluster_id, ambient)
        self.tokens = WorkerTokens(self._pps.vault.derive(TOKENS) if config.pods else secrets.token_bytes(32))
        """What this server's own workers show it. For processes another one after each start, never written down."""
        self._pods = _pods_of(config, self._identity.cluster_id, ambient)
        rules = _rules_of(Rules(self._containers.name(), config.strict_images), rung)
        self._rules = self._pods.rules(rules) if self._pods else rules
        known = members(self._rules)
        self._transactions = Transactions(self._files, Requests({one.name: one for one in known}))
        self.recorder: Recorder = CallRecorder(self._transactions, {one.call: one for one in known})
        """What keeps the calls that are made in a transaction."""
        self._collector = Collector(self._files)
        self._purging = Purging(self._files, Lineage(self._files, self._pps.tables))
        self.space = Space(self._files, self._collector)
        """What storage holds, for the doors."""
        self.shop = RepoShop(self._files)
        """The repos as S3 buckets."""
        self.restored = False
        """Whether this server is to start anew, as what was restored into it."""
        self.on_restored: Callable[[], object] = lambda: None
        """Called, from any thread, when that is so."""
        self._restoring = Restoring(self._files, self._collector, config.data, self._pps.vault, self._start_anew)
        shutil.rmtree(config.data / BACKUPS, ignore_errors=True)
        self._leases = Leases(self._files)
        self._origin = ""
        self.links = Links(self._leases, secrets.token_bytes(32), lambda: self._origin)
        """Addresses of content, for the doors."""
        self._fleet: LocalFleet | None = None
        self._standing: StandingWorkers | None = None
        self._happened = Happened(ambient)
        self.handed = Handed()
        """Open files that clients on this machine gave us to read."""
        self._level, self._recent = Level(), RecentLines()
        self._recent.open()
        self._site: Site | None = None
        self._listening = ""
        self._loops = Loops(self._pps, self._collector, self._leases)
        self._leading = None if catalog.alone else Leading(self._files, self._identity.folder, self._lead)
        catalog.transact(ensure_default_project)

    def doors(self, loop: asyncio.AbstractEventLoop, bridge: Bridge) -> Sequence[Door]:
        """What the gRPC server answers with. `loop` runs the waiting calls."""
        files, events = self._files, Events(self._catalog.wake, loop)
        settling = Settling(files, bridge, events)
        reads = ReadDoor(files, bridge, settling)
        return [
            VersionDoor(),
            AdminDoor(
                self._identity.cluster_id,
                self._identity.deployment_id,
                partial(self._catalog.read, cluster_metadata),
            ),
            MetadataDoor(files),
            EnterpriseDoor(),
            LicenseDoor(),
            RepoDoor(files),
            CommitDoor(files, bridge, events),
            RemovalDoor(files, settling),
            PastDoor(files, settling),
            reads,
            FetchDoor(reads, self.handed),
            ListDoor(reads),
            ModifyDoor(files),
            BulkDoor(files, settling, self.handed),
            TagDoor(files),
            MergeDoor(files, settling),
            PurgeDoor(self._purging, settling),
            ImageDoor(files),
            EgressDoor(files, self._pps.vault, settling),
            FileSetDoor(self._leases, settling),
            CacheDoor(files),
            StorageDoor(self._leases, self.links),
            CheckDoor(files, self._pps),
            SpaceDoor(self.space),
            MovingDoor(files, bridge, self._config.data / BACKUPS),
            BackupDoor(files, self._restoring, bridge, self._config.data / BACKUPS, self._pps.vault.path),
            PipelineDoor(files, self._rules, self._crash),
            DefaultsDoor(files, self._rules),
            JobDoor(
                files, bridge, events, self._trouble, partial(with_progress, files, self._pps.tables), self._unsaved
            ),
            DatumDoor(self._pps, settling),
            OwnDatumDoor(self._pps, settling, self._rules, self._config.worker_count),
            SecretDoor(self._pps),
            LogDoor(self._pps, bridge, events),
            LogsDoor(self._pps, bridge, events),
            ClusterLogDoor(self._pps, bridge, events, self._happened.since),
            self._worker_door(bridge, events),
            AllFilesDoor(files),
            AllPipelinesDoor(files, self._crash, self._rules.gpus),
            TransactionDoor(self._transactions),
            FileLoadDoor(files, bridge),
            DebugLoadDoor(files, bridge),
            PipelineLoadDoor(files, self._rules, bridge),
            DebugDoor(
                About(files, settings(self._config), self._recent.lines, lambda: self._happened.since(0)), self._level
            ),
        ]

    def _worker_door(self, bridge: Bridge, events: Events) -> WorkerDoor:
        images = PodImages(self._catalog, bridge) if self._pods is not None else None
        count, gpus = self._config.worker_count, self._rules.gpus
        return WorkerDoor(self._pps, bridge, events, self.tokens, count, gpus, images)

    def _about(self) -> About:
        return About(self._files, settings(self._config), self._recent.lines, lambda: self._happened.since(0))

    def start(
        self, address: tuple[str, int], peer: tuple[str, int] | None = None, names: Sequence[str] | None = None
    ) -> None:
        """Begin what runs by itself. `address` is where this server is reached, by workers at `peer` if there is one.

        names: hosts of its certificate; None: it has none.
        """
        self._origin = origin_of(*address, names)
        inside = peer or address
        self._listening = shown(*inside)
        if self._leading is None:
            self._loops.start()
            if self._pods is not None:
                self._pods.start(self._pod_owner(self._catalog), self._listening)
        else:
            self._catalog.transact(lambda tx: claims.all_gone(tx, self._mine))
        if self._pods is None and self._rung is not None:
            self._containers.start(self._files, self._pps.vault)
            site = Site(
                self._config,
                self._rung,
                inside,
                self.tokens.whole,
                self._ambient,
                self._worker_gone,
                self._containers.server,
                self._containers.run,
                self._mine,
                address[0],
            )
            self._site = site
            self._fleet = open_pool(site)
            self._fleet.start()
            if self._leading is None:
                self._standing = StandingWorkers(site, self._catalog)
                self._standing.start()
            self._happened.note(
                "Normal", "PoolStarted", "", f"{self._rung.reason}: {self._config.worker_count} workers"
            )

        if self._leading is not None:
            self._leading.start()

    def _lead(self, catalog: Catalog) -> Callable[[], None]:
        """Begin what the leader does, as long as `catalog` takes its writes. Answers what ends it."""
        loops, pods = Loops.led(self._pps, catalog), self._pods
        loops.start()
        standing = StandingWorkers(self._site, catalog) if self._site is not None else None
        if standing is not None:
            standing.start()
        if pods is not None:
            pods.start(self._pod_owner(catalog), self._listening)

        def end() -> None:
            if pods is not None:
                pods.stop()
            if standing is not None:
                standing.stop()
            loops.stop()
            loops.join()

        return end

    def _pod_owner(self, catalog: Catalog) -> PodOwner:
        from trunkline.app.pods.side import PodOwner

        def gone(pod: str, why: str, counts: bool) -> None:
            catalog.transact(lambda tx: claims.worker_gone(tx, pod, why, counts=counts))

        pods = self._pods
        return PodOwner(
            catalog, self._pps.vault, self._happened, lambda: pods.house.address if pods else "", gone, self.tokens.of
        )

    def _start_anew(self) -> None:
        self.restored = True
        self.on_restored()

    def _unsaved(self) -> str:
        return self._pps.leases.trouble

    def _crash(self) -> str:
        if why := self._unsaved():
            return f"nothing that one does can be saved: {why}"
        if self._pods is not None:  # each pipeline says itself how its pods do
            return ""
        return self._fleet.crash() if self._fleet else self._trouble()

    def _trouble(self) -> str:
        if self._pods is not None:
            return self._pods.trouble()
        return self._fleet.trouble() if self._fleet else "this server has no workers"

    def _worker_gone(self, worker: str, reason: str) -> None:
        self._happened.note("Warning", "WorkerEnded", worker, reason)
        self._containers.gone(worker)
        self._catalog.transact(lambda tx: claims.worker_gone(tx, worker, reason))

    def stop(self) -> None:
        """End what runs by itself: workers first, since they report to what comes after them. Blocks for seconds."""
        if self._pods is not None:
            self._pods.stop()
        if self._standing is not None:
            self._standing.stop()
        if self._fleet is not None:
            self._fleet.stop()
        if self._leading is not None:
            self._leading.stop()
        self._containers.stop()
        self._loops.stop()

    def close(self) -> None:
        """Let go of the data folder."""
        self._recent.close()
        self._level.close()
        self._catalog.wake.close()
        self._loops.join()
        self._store.close()
        self._blobs.close()
        self._catalog.close()


def _pods_of(config: Config, server: str, ambient: Ambient) -> PodSide | None:
    """See `open_pods`."""
    if config.pods is None:
        return None
    from trunkline.app.pods.side import open_pods  # brings the cluster's client, and all that a worker needs

    return open_pods(config, server, ambient)


def open_engine(config: Config, ambient: Ambient, rung: Callable[[], Rung | None] = lambda: None) -> Engine:
    """Open (or make) the data folder. rung: how user code runs here; None, or nothing said: there are no workers.

    Raises FailedPrecondition where another server has the folder, what `rung` raises, OSError.
    """
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not config.database:
        finish_restore(config.data)
    catalog = Catalog.open(config.data, ambient, database=config.database)
    try:
        if config.database:
            finish_restore_into(catalog, config.data)
        return Engine(config, ambient, catalog, rung())
    except BaseException:
        catalog.close()
        raise


def _rules_of(rules: Rules, rung: Rung | None) -> Rules:
    return replace(rules, can_limit=rung.limits, gpus=len(rung.gpus)) if rung is not None else rules
