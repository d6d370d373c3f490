"""The fields of a pipeline spec: their names and kinds. Which values go together is said in `rules`.

Names and kinds are those of `pps_v2.CreatePipelineRequest` (a test compares them), and `trunkline`, which is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number; JSON may write it as a string, since some readers lose digits of large ones."""

    low: int = -(2**63)
    high: int = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Real:
    """A finite number, not negative."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time such as "5m"."""


@dataclass(frozen=True, slots=True)
class Instant:
    """An RFC 3339 instant."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of bytes such as "64Mi"."""


@dataclass(frozen=True, slots=True)
class Share:
    """A number of things, or how many of a hundred: "5%"."""


@dataclass(frozen=True, slots=True)
class Name:
    """One of some names; protobuf also knows them by number. unset: the name that says nothing."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """A mapping of strings to strings."""


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    of: Kind


@dataclass(frozen=True)
class Message:
    """An object with known fields. gone: fields of other versions, each with what to do instead."""

    fields: Mapping[str, Kind]
    gone: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ref:
    """A message by name: for those that contain themselves."""

    name: str


Kind = Text | Flag | Whole | Real | Span | Instant | Quantity | Share | Name | Texts | Many | Message | Ref

TEXT, FLAG, TEXTS, SPAN, QUANTITY = Text(), Flag(), Texts(), Span(), Quantity()
LINES = Many(TEXT)
INT32 = Whole(-(2**31), 2**31 - 1)
INT64 = Whole()
UINT64 = Whole(0, 2**64 - 1)

PROJECT = Message({"name": TEXT})
REPO = Message({"name": TEXT, "type": TEXT, "project": PROJECT})
BRANCH = Message({"repo": REPO, "name": TEXT})
COMMIT = Message({"repo": REPO, "branch": BRANCH, "id": TEXT})
TRIGGER = Message(
    {"branch": TEXT, "all": FLAG, "rate_limit_spec": TEXT, "size": TEXT, "commits": INT64, "cron_spec": TEXT}
)
SECRET = Message({"name": TEXT, "key": TEXT, "mount_path": TEXT, "env_var": TEXT})
TRANSFORM = Message(
    {
        "image": TEXT,
        "cmd": LINES,
        "err_cmd": LINES,
        "env": TEXTS,
        "secrets": Many(SECRET),
        "image_pull_secrets": LINES,
        "stdin": LINES,
        "err_stdin": LINES,
        "accept_return_code": Many(INT64),
        "debug": FLAG,
        "user": TEXT,
        "working_dir": TEXT,
        "dockerfile": TEXT,
        "memory_volume": FLAG,
        "datum_batching": FLAG,
    },
    gone={"build": "images are built beforehand; name one in transform.image"},
)
PFS = Message(
    {
        "name": TEXT,
        "repo": TEXT,
        "branch": TEXT,
        "commit": TEXT,
        "glob": TEXT,
        "join_on": TEXT,
        "outer_join": FLAG,
        "group_by": TEXT,
        "lazy": FLAG,
        "empty_files": FLAG,
        "s3": FLAG,
        "trigger": TRIGGER,
        "repo_type": TEXT,
        "project": TEXT,
        "propagation_spec": Message({"never": FLAG}),
        "reference": FLAG,
    }
)
CRON = Message(
    {
        "name": TEXT,
        "repo": TEXT,
        "commit": TEXT,
        "spec": TEXT,
        "overwrite": FLAG,
        "start": Instant(),
        "project": TEXT,
    }
)
INPUT = Message(
    {
        "pfs": PFS,
        "join": Many(Ref("input")),
        "group": Many(Ref("input")),
        "cross": Many(Ref("input")),
        "union": Many(Ref("input")),
        "cron": CRON,
    },
    gone={
        "git": "git inputs ended with version 1; put the files into a repo",
        "atom": 'it is called "pfs" since version 1.8',
    },
)
SERVICE = Message({"internal_port": INT32, "external_port": INT32, "ip": TEXT, "type": TEXT})
RESOURCES = Message(
    {"cpu": Real(), "memory": QUANTITY, "gpu": Message({"type": TEXT, "number": INT64}), "disk": QUANTITY}
)
EGRESS = Message(
    {
        "URL": TEXT,
        "object_storage": Message({"url": TEXT}),
        "sql_database": Message(
            {
                "url": TEXT,
                "file_format": Message({"type": Name(("UNKNOWN", "CSV", "JSON", "PARQUET")), "columns": LINES}),
                "secret": Message({"name": TEXT, "key": TEXT}),
            }
        ),
    }
)
TOLERATION = Message(
    {
        "key": TEXT,
        "operator": Name(("EMPTY", "EXISTS", "EQUAL")),
        "value": TEXT,
        "effect": Name(("ALL_EFFECTS", "NO_SCHEDULE", "PREFER_NO_SCHEDULE", "NO_EXECUTE")),
        "toleration_seconds": INT64,
    }
)
OWN = Message(
    {
        "writable_inputs": FLAG,
        "on_failure": Name(("", "fail", "skip")),
        "limit": Share(),
        "runner": Name(("", "process", "container")),
    }
)
"""Our own fields, under the key `trunkline`."""

REQUEST = Message(
    {
        "pipeline": Message({"name": TEXT, "project": PROJECT}),
        "tf_job": Message({"tf_job": TEXT}),
        "transform": TRANSFORM,
        "parallelism_spec": Message(
            {"constant": UINT64},
            gone={"coefficient": "it ended with version 1; give a constant number of workers"},
        ),
        "egress": EGRESS,
        "update": FLAG,
        "output_branch": TEXT,
        "s3_out": FLAG,
        "resource_requests": RESOURCES,
        "resource_limits": RESOURCES,
        "sidecar_resource_limits": RESOURCES,
        "input": INPUT,
        "description": TEXT,
        "reprocess": FLAG,
        "service": SERVICE,
        "spout": Message({"service": SERVICE}),
        "datum_set_spec": Message(
            {"number": INT64, "size_bytes": INT64, "per_worker": INT64},
            gone={"chunks_per_worker": 'it is called "per_worker" here'},
        ),
        "datum_timeout": SPAN,
        "job_timeout": SPAN,
        "salt": TEXT,
        "datum_tries": INT64,
        "scheduling_spec": Message({"node_selector": TEXTS, "priority_class_name": TEXT}),
        "pod_spec": TEXT,
        "pod_patch": TEXT,
        "spec_commit": COMMIT,
        "metadata": Message({"annotations": TEXTS, "labels": TEXTS}),
        "reprocess_spec": TEXT,
        "autoscaling": FLAG,
        "tolerations": Many(TOLERATION),
        "sidecar_resource_requests": RESOURCES,
        "dry_run": FLAG,
        "determined": Message({"workspaces": LINES}),
        "maximum_expected_uptime": SPAN,
        "trunkline": OWN,
    },
    gone={
        "standby": 'it ended with version 1; "autoscaling" does this',
        "enable_stats": "it ended with version 1; statistics are always kept",
        "cache_size": "it ended with version 1; leave it out",
        "max_queue_size": "it ended with version 1; leave it out",
        "chunk_spec": 'it is called "datum_set_spec" since version 2.0',
        "hashtree_spec": "it ended with version 1; leave it out",
    },
)

NAMED: Mapping[str, Message] = {"input": INPUT}


def message(kind: Kind) -> Message | None:
    """The message that `kind` is, if it is one."""
    return NAMED[kind.name] if isinstance(kind, Ref) else kind if isinstance(kind, Message) else None
