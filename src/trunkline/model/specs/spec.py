"""A pipeline's spec as typed, frozen values. Defaults are filled in; spans and instants are microseconds.

`PipelineSpec.from_dict` reads the canonical form, which `trunkline.model.specs.canonical` makes from what people write
and which has been checked there; `to_dict` gives it back with the defaults written out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trunkline.ambient import Micros
from trunkline.model.infos import Trigger
from trunkline.model.names import MASTER, USER_REPO, Pipeline, Repo
from trunkline.model.specs.scalars import quantity_bytes

DEFAULT_IMAGE = "ubuntu:20.04"
DEFAULT_TRIES = 3
OUT = "out"
"""The name under which code finds its output; no input may have it."""


@dataclass(frozen=True, slots=True)
class SecretMount:
    """A secret for user code: a directory at `mount_path`, or `key` in the variable `env_var`."""

    name: str
    key: str = ""
    mount_path: str = ""
    env_var: str = ""


@dataclass(frozen=True, slots=True)
class Transform:
    """What runs for a datum. `cmd` is an argument vector, not a shell line; it may be empty for spouts and services."""

    image: str = DEFAULT_IMAGE
    cmd: tuple[str, ...] = ()
    err_cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretMount, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    stdin: tuple[str, ...] = ()
    err_stdin: tuple[str, ...] = ()
    accept_return_code: tuple[int, ...] = ()
    debug: bool = False
    user: str = ""
    working_dir: str = ""
    dockerfile: str = ""
    memory_volume: bool = False
    datum_batching: bool = False

    @property
    def stdin_bytes(self) -> bytes:
        """What `cmd` reads: the lines, each ended."""
        return _lines(self.stdin)

    @property
    def err_stdin_bytes(self) -> bytes:
        """What `err_cmd` reads."""
        return _lines(self.err_stdin)


@dataclass(frozen=True, slots=True)
class PfsInput:
    """Files of a branch that match a glob. `commit` is set only in the inputs of jobs, where branches are resolved.

    never: a commit on this input alone starts no job.
    """

    kind = "pfs"
    project: str
    repo: str
    glob: str
    name: str
    branch: str = MASTER
    repo_type: str = USER_REPO
    commit: str = ""
    join_on: str = ""
    outer_join: bool = False
    group_by: str = ""
    lazy: bool = False
    empty_files: bool = False
    s3: bool = False
    trigger: Trigger | None = None
    never: bool = False
    reference: bool = False

    @property
    def source(self) -> Repo:
        """The repo it reads."""
        return Repo(self.project, self.repo, self.repo_type)


@dataclass(frozen=True, slots=True)
class CronInput:
    """Ticks: files named by their instants, committed to a repo of the pipeline's own. start_us None: creation."""

    kind = "cron"
    project: str
    repo: str
    name: str
    spec: str
    overwrite: bool = False
    start_us: Micros | None = None
    commit: str = ""

    branch = MASTER
    glob = "/*"
    never = False

    @property
    def source(self) -> Repo:
        """The repo of its ticks."""
        return Repo(self.project, self.repo)


@dataclass(frozen=True, slots=True)
class Combination:
    """Inputs put together: cross, union, join or group."""

    kind: Literal["cross", "union", "join", "group"]
    members: tuple[Input, ...]


Leaf = PfsInput | CronInput
Input = PfsInput | CronInput | Combination


@dataclass(frozen=True, slots=True)
class Gpu:
    """How many devices of a type such as "nvidia.com/gpu"."""

    type: str
    number: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container may have; "" and 0 say nothing. Quantities are in the notation of Kubernetes."""

    cpu: float = 0.0
    memory: str = ""
    disk: str = ""
    gpu: Gpu | None = None

    @property
    def memory_bytes(self) -> int:
        """Memory in bytes, 0 for none given."""
        return quantity_bytes(self.memory) if self.memory else 0

    @property
    def disk_bytes(self) -> int:
        """Disk in bytes, 0 for none given."""
        return quantity_bytes(self.disk) if self.disk else 0


@dataclass(frozen=True, slots=True)
class Service:
    """A port that user code listens on."""

    internal_port: int
    external_port: int = 0
    ip: str = ""
    type: str = "NodePort"


@dataclass(frozen=True, slots=True)
class Spout:
    """Code that runs for ever and makes its own commits, with a port if `service`."""

    service: Service | None = None


@dataclass(frozen=True, slots=True)
class SqlEgress:
    """Output rows into tables of a database. format: CSV, JSON or PARQUET."""

    url: str
    format: str
    columns: tuple[str, ...]
    secret_name: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Egress:
    """Where output goes after the datums: a URL of an object store, or a database."""

    url: str = ""
    sql: SqlEgress | None = None


@dataclass(frozen=True, slots=True)
class DatumSetSpec:
    """How many datums one batching process sees at most; 0 says nothing."""

    number: int = 0
    size_bytes: int = 0
    per_worker: int = 0


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint of a node that the pods of a pipeline put up with."""

    key: str = ""
    operator: str = "EXISTS"
    value: str = ""
    effect: str = "ALL_EFFECTS"
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """Our own fields, under the key `trunkline`. writable_inputs: datums get writable copies of their inputs.

    on_failure: "skip": a job succeeds without the datums that fail. limit: how many may, as "7" or "5%"; "": all.
    runner: "process" or "container", where the code is to run; "": as its image is found.
    """

    writable_inputs: bool = False
    on_failure: str = ""
    limit: str = ""
    runner: str = ""

    @property
    def may_fail(self) -> str:
        """How many datums may fail in a job that succeeds, as `scalars.share` reads it; "" for none."""
        return (self.limit or "100%") if self.on_failure == "skip" else ""


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """A whole spec. 0 microseconds: no limit. parallelism None: no bound of the pipeline's own."""

    pipeline: Pipeline
    transform: Transform
    input: Input | None = None
    description: str = ""
    output_branch: str = MASTER
    parallelism: int | None = None
    egress: Egress | None = None
    s3_out: bool = False
    resource_requests: Resources | None = None
    resource_limits: Resources | None = None
    sidecar_resource_requests: Resources | None = None
    sidecar_resource_limits: Resources | None = None
    service: Service | None = None
    spout: Spout | None = None
    datum_set_spec: DatumSetSpec = DatumSetSpec()
    datum_timeout_us: Micros = 0
    job_timeout_us: Micros = 0
    salt: str = ""
    datum_tries: int = DEFAULT_TRIES
    node_selector: Mapping[str, str] = field(default_factory=dict)
    priority_class_name: str = ""
    pod_spec: str = ""
    pod_patch: str = ""
    every_job: bool = False
    autoscaling: bool = False
    tolerations: tuple[Toleration, ...] = ()
    workspaces: tuple[str, ...] = ()
    maximum_expected_uptime_us: Micros = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    own: Own = Own()

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> PipelineSpec:
        """From the canonical form. Fields that say what to do with a spec (update, reprocess, dry_run) are left out."""
        from trunkline.model.specs.forms import spec_from

        return spec_from(spec)

    @classmethod
    def from_json(cls, text: str) -> PipelineSpec:
        """From `to_json`."""
        return cls.from_dict(json.loads(text))

    def to_dict(self) -> dict[str, Any]:
        """The canonical form, with defaults written out."""
        from trunkline.model.specs.forms import dict_from

        return dict_from(self)

    def to_json(self) -> str:
        """`to_dict` as JSON; equal specs give equal texts."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The pfs and cron inputs, in the order of the spec."""
        return tuple(leaves_of(self.input))

    @property
    def skips(self) -> bool:
        """Whether datums may be skipped at all."""
        return not self.never_skips

    @property
    def never_skips(self) -> str:
        """Why every job runs every datum, which begins with the field that says so; "" where it need not."""
        if self.every_job:
            return "every_job: the spec's reprocess_spec runs every datum in every job"
        if self.s3_out:
            return "s3_out: what is written through a bucket is written anew by every job"
        return "service: its code starts again with every job" if self.service is not None else ""


def leaves_of(node: Input | None) -> Iterator[Leaf]:
    """The pfs and cron inputs below `node`, in order."""
    if isinstance(node, Combination):
        for member in node.members:
            yield from leaves_of(member)
    elif node is not None:
        yield node


def _lines(lines: tuple[str, ...]) -> bytes:
    return "".join(line + "\n" for line in lines).encode()
