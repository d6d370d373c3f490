"""Modules that are loaded at their first use, so that help, completion and `version` never wait for gRPC.

Commands take them from here by name; a type checker sees the modules themselves.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf import json_format
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.empty_pb2 import Empty

    from trunkline.cli import progress
    from trunkline.cli.show import commits as commit_view
    from trunkline.cli.show import dag, diffs
    from trunkline.cli.show import jobs as job_view
    from trunkline.cli.show import pipelines as pipeline_view
    from trunkline.cli.show import repos as repo_view
    from trunkline.client import backups, images, names, sources, uploads
    from trunkline.client import tar as tars
    from trunkline.client.known import cache as put_cache
    from trunkline.client.moving import bundles, copying
    from trunkline.client.pushing import credentials
    from trunkline.client.pushing import workbench as workbenches
    from trunkline.client.reading import downloads, listing
    from trunkline.model import image_names
    from trunkline.model.specs import defaults, inputrules, writing
    from trunkline.wire.gen import admin_v2_pb2 as admin
    from trunkline.wire.gen import debug_v2_pb2 as debug
    from trunkline.wire.gen import metadata_pb2 as metadata
    from trunkline.wire.gen import pachyderm_worker_pb2 as worker_messages
    from trunkline.wire.gen import pachyderm_worker_pb2_grpc as worker_calls
    from trunkline.wire.gen import pfs_v2_pb2 as pfs
    from trunkline.wire.gen import pps_v2_pb2 as pps
    from trunkline.wire.gen import transaction_v2_pb2 as transactions
    from trunkline.wire.gen import trunkline_pb2 as own
    from trunkline.wire.gen import versionpb_v2_pb2 as versions
else:

    class _Late:
        """Stands for a module, or for one name in it, until it is touched."""

        def __init__(self, module: str, name: str = "") -> None:
            self._module = module
            self._name = name

        def _thing(self) -> Any:
            module = importlib.import_module(self._module)
            return getattr(module, self._name) if self._name else module

        def __getattr__(self, name: str) -> Any:
            return getattr(self._thing(), name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self._thing()(*args, **kwargs)

    json_format = _Late("google.protobuf.json_format")
    Duration = _Late("google.protobuf.duration_pb2", "Duration")
    Empty = _Late("google.protobuf.empty_pb2", "Empty")
    progress = _Late("trunkline.cli.progress")
    commit_view = _Late("trunkline.cli.show.commits")
    dag = _Late("trunkline.cli.show.dag")
    diffs = _Late("trunkline.cli.show.diffs")
    job_view = _Late("trunkline.cli.show.jobs")
    pipeline_view = _Late("trunkline.cli.show.pipelines")
    repo_view = _Late("trunkline.cli.show.repos")
    backups = _Late("trunkline.client.backups")
    bundles = _Late("trunkline.client.moving.bundles")
    copying = _Late("trunkline.client.moving.copying")
    downloads = _Late("trunkline.client.reading.downloads")
    images = _Late("trunkline.client.images")
    listing = _Late("trunkline.client.reading.listing")
    put_cache = _Late("trunkline.client.known.cache")
    tars = _Late("trunkline.client.tar")
    names = _Late("trunkline.client.names")
    sources = _Late("trunkline.client.sources")
    uploads = _Late("trunkline.client.uploads")
    admin = _Late("trunkline.wire.gen.admin_v2_pb2")
    debug = _Late("trunkline.wire.gen.debug_v2_pb2")
    metadata = _Late("trunkline.wire.gen.metadata_pb2")
    pfs = _Late("trunkline.wire.gen.pfs_v2_pb2")
    pps = _Late("trunkline.wire.gen.pps_v2_pb2")
    transactions = _Late("trunkline.wire.gen.transaction_v2_pb2")
    own = _Late("trunkline.wire.gen.trunkline_pb2")
    worker_calls = _Late("trunkline.wire.gen.pachyderm_worker_pb2_grpc")
    worker_messages = _Late("trunkline.wire.gen.pachyderm_worker_pb2")
    versions = _Late("trunkline.wire.gen.versionpb_v2_pb2")
    credentials = _Late("trunkline.client.pushing.credentials")
    workbenches = _Late("trunkline.client.pushing.workbench")
    image_names = _Late("trunkline.model.image_names")
    defaults = _Late("trunkline.model.specs.defaults")
    inputrules = _Late("trunkline.model.specs.inputrules")
    writing = _Late("trunkline.model.specs.writing")

__all__ = [
    "Duration",
    "Empty",
    "admin",
    "backups",
    "bundles",
    "commit_view",
    "copying",
    "credentials",
    "dag",
    "debug",
    "defaults",
    "diffs",
    "downloads",
    "image_names",
    "images",
    "inputrules",
    "job_view",
    "json_format",
    "listing",
    "metadata",
    "names",
    "own",
    "pfs",
    "pipeline_view",
    "pps",
    "progress",
    "put_cache",
    "repo_view",
    "sources",
    "tars",
    "transactions",
    "uploads",
    "versions",
    "workbenches",
    "worker_calls",
    "worker_messages",
    "writing",
]
