"""One channel to a server, reused by every call, and the stubs on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

# Both must be set before gRPC is imported: its own complaints would stand between ours on stderr, and its fork handlers
# print warnings when a pager or an editor is started.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc

from trunkline import __version__
from trunkline.client.address import Address, parse
from trunkline.client.failures import translate
from trunkline.client.trust import machine
from trunkline.wire.notes import notes_of

if TYPE_CHECKING:
    from trunkline.wire.gen.admin_v2_pb2_grpc import APIStub as AdminStub
    from trunkline.wire.gen.debug_v2_pb2_grpc import DebugStub
    from trunkline.wire.gen.metadata_pb2_grpc import APIStub as MetadataStub
    from trunkline.wire.gen.pfs_v2_pb2_grpc import APIStub as PfsStub
    from trunkline.wire.gen.pps_v2_pb2_grpc import APIStub as PpsStub
    from trunkline.wire.gen.transaction_v2_pb2_grpc import APIStub as TransactionStub
    from trunkline.wire.gen.trunkline_pb2_grpc import (
        BackupsStub,
        DatumsStub,
        FilesStub,
        ImagesStub,
        MovingStub,
        PurgesStub,
        SpaceStub,
        VersionsStub,
    )
    from trunkline.wire.gen.versionpb_v2_pb2_grpc import APIStub as VersionStub
    from trunkline.wire.gen.worker_pb2_grpc import WorkersStub

MESSAGE_LIMIT_BYTES = 20 * 1024 * 1024
"""No message may be longer, in either direction: what the other clients of Pachyderm accept."""

Observer = Callable[[str], None]
"""Told the name of each call as it is made, or each note that comes with an answer."""


def connect(
    address: str,
    *,
    token: str = "",
    transaction: str = "",
    worker_token: str = "",
    root_certificates: bytes | None = None,
    on_call: Observer | None = None,
    on_note: Observer | None = None,
) -> Client:
    """A client of the server at `address`; dialled at the first call. Raises InvalidArgument for a bad address.

    token and transaction go with every call where they are set, as does worker_token, by which a server knows its own
    workers. root_certificates: PEM, instead of the machine's own.
    on_call, on_note: told what is asked, and what the server adds to an answer for a person to read.
    """
    place = parse(address)
    options = [
        ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.primary_user_agent", f"pachctl/{__version__}"),
        ("grpc.enable_http_proxy", 0 if place.is_local else 1),
    ]
    if place.tls:
        channel = grpc.secure_channel(
            place.target, grpc.ssl_channel_credentials(root_certificates or machine()), options
        )
    else:
        channel = grpc.insecure_channel(place.target, options)
    return Client(
        channel,
        place,
        token=token,
        transaction=transaction,
        worker_token=worker_token,
        on_call=on_call,
        on_note=on_note,
    )


class Client:
    """The server's calls, typed. Safe to share between threads. Close it when done, or use it in a `with`."""

    def __init__(
        self,
        channel: grpc.Channel,
        address: Address,
        *,
        token: str = "",
        transaction: str = "",
        worker_token: str = "",
        on_call: Observer | None = None,
        on_note: Observer | None = None,
    ) -> None:
        self.address = address
        self._channel = channel
        metadata = [("authn-token", token)] if token else []
        metadata += [("pach-transaction", transaction)] if transaction else []
        metadata += [("worker-token", worker_token)] if worker_token else []
        self._calls = grpc.intercept_channel(channel, _Calls(address, metadata, on_call, on_note))

    @cached_property
    def pfs(self) -> PfsStub:
        """Files: projects, repos, branches, commits."""
        from trunkline.wire.gen.pfs_v2_pb2_grpc import APIStub

        return APIStub(self._calls)

    @cached_property
    def pps(self) -> PpsStub:
        """Pipelines, jobs, datums, logs."""
        from trunkline.wire.gen.pps_v2_pb2_grpc import APIStub

        return APIStub(self._calls)

    @cached_property
    def metadata(self) -> MetadataStub:
        """Texts attached to things."""
        from trunkline.wire.gen.metadata_pb2_grpc import APIStub

        return APIStub(self._calls)

    @cached_property
    def transactions(self) -> TransactionStub:
        """Transactions."""
        from trunkline.wire.gen.transaction_v2_pb2_grpc import APIStub

        return APIStub(self._calls)

    @cached_property
    def admin(self) -> AdminStub:
        """The cluster."""
        from trunkline.wire.gen.admin_v2_pb2_grpc import APIStub

        return APIStub(self._calls)

    @cached_property
    def debug(self) -> DebugStub:
        """Dumps and profiles of the server."""
        from trunkline.wire.gen.debug_v2_pb2_grpc import DebugStub

        return DebugStub(self._calls)

    @cached_property
    def versions(self) -> VersionStub:
        """The server's version."""
        from trunkline.wire.gen.versionpb_v2_pb2_grpc import APIStub

        return APIStub(self._calls)

    @cached_property
    def own_files(self) -> FilesStub:
        """Quicker uploads: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import FilesStub

        return FilesStub(self._calls)

    @cached_property
    def datums(self) -> DatumsStub:
        """Why datums ran: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import DatumsStub

        return DatumsStub(self._calls)

    @cached_property
    def images(self) -> ImagesStub:
        """Local images: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import ImagesStub

        return ImagesStub(self._calls)

    @cached_property
    def space(self) -> SpaceStub:
        """What storage holds: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import SpaceStub

        return SpaceStub(self._calls)

    @cached_property
    def tags(self) -> VersionsStub:
        """Tags and merges: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import VersionsStub

        return VersionsStub(self._calls)

    @cached_property
    def purges(self) -> PurgesStub:
        """Files taken out of all history: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import PurgesStub

        return PurgesStub(self._calls)

    @cached_property
    def backups(self) -> BackupsStub:
        """Backups: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import BackupsStub

        return BackupsStub(self._calls)

    @cached_property
    def moving(self) -> MovingStub:
        """Repos that come or go: ours only."""
        from trunkline.wire.gen.trunkline_pb2_grpc import MovingStub

        return MovingStub(self._calls)

    @cached_property
    def workers(self) -> WorkersStub:
        """What workers ask: ours only."""
        from trunkline.wire.gen.worker_pb2_grpc import WorkersStub

        return WorkersStub(self._calls)

    def upload(self, method: str, messages: Iterator[bytes], *, compress: bool = False) -> bytes:
        """Make a call that takes a stream, of messages that are encoded already; the answer, encoded.

        method: as in `/trunkline.v1.Files/BulkPut`. compress: gzip on the way.
        """
        call: Any = self._calls.stream_unary(method, None, None)
        answer: bytes = call(messages, compression=grpc.Compression.Gzip if compress else None)
        return answer

    def close(self) -> None:
        """Hang up. Calls that run are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class Answers(Iterator[Any]):
    """The answers of a streaming call, whose failure is an error of ours."""

    def __init__(self, call: Any, failed: Callable[[grpc.RpcError], Exception]) -> None:
        self._call = call
        self._failed = failed

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise self._failed(error) from None

    def cancel(self) -> None:
        """Ask for no more."""
        self._call.cancel()


class _Calls(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Goes with every call: adds the metadata, and raises errors of ours."""

    def __init__(
        self, address: Address, metadata: list[tuple[str, str]], on_call: Observer | None, on_note: Observer | None
    ) -> None:
        self._address = address
        self._metadata = metadata
        self._on_call = on_call
        self._on_note = on_note

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._one(continuation, client_call_details, request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._one(continuation, client_call_details, request_iterator)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._many(continuation, client_call_details, request)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._many(continuation, client_call_details, request_iterator)

    def _one(self, continuation: Any, details: Any, request: Any) -> Any:
        outcome = continuation(self._dressed(details), request)
        error = outcome.exception()
        if isinstance(error, grpc.RpcError):
            raise translate(error, self._address, details.method) from None
        if self._on_note is not None:
            for note in notes_of(outcome.trailing_metadata()):
                self._on_note(note)
        return outcome

    def _many(self, continuation: Any, details: Any, request: Any) -> Answers:
        call = continuation(self._dressed(details), request)
        return Answers(call, lambda error: translate(error, self._address, details.method))

    def _dressed(self, details: Any) -> _Details:
        if self._on_call is not None:
            self._on_call(details.method)
        return _Details(
            details.method,
            details.timeout,
            [*(details.metadata or ()), *self._metadata],
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
