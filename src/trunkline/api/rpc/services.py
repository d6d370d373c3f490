"""Every service that this server answers for, by its descriptor."""

from __future__ import annotations

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from trunkline.wire.gen import (
    admin_v2_pb2,
    auth_v2_pb2,
    debug_v2_pb2,
    enterprise_v2_pb2,
    identity_v2_pb2,
    license_v2_pb2,
    logs_pb2,
    metadata_pb2,
    pachyderm_worker_pb2,
    pfs_v2_pb2,
    pjs_pb2,
    pps_v2_pb2,
    proxy_pb2,
    snapshot_pb2,
    storage_pb2,
    transaction_v2_pb2,
    trunkline_pb2,
    versionpb_v2_pb2,
    worker_pb2,
)

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        admin_v2_pb2,
        auth_v2_pb2,
        debug_v2_pb2,
        enterprise_v2_pb2,
        identity_v2_pb2,
        license_v2_pb2,
        logs_pb2,
        metadata_pb2,
        pachyderm_worker_pb2,
        pfs_v2_pb2,
        pjs_pb2,
        pps_v2_pb2,
        proxy_pb2,
        snapshot_pb2,
        storage_pb2,
        transaction_v2_pb2,
        trunkline_pb2,
        versionpb_v2_pb2,
        worker_pb2,
    )
)

SERVICES: tuple[ServiceDescriptor, ...] = tuple(service for file in FILES for service in file.services_by_name.values())
"""The public ones and our own; health and reflection bring theirs."""
