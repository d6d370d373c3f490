"""Errors of ours as gRPC statuses. Clients read only code and details, so details are never empty."""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass
from urllib.parse import quote

from grpc import StatusCode

from trunkline.ambient import Ambient
from trunkline.errors import Kind, TrunklineError

GRPC_CODE: dict[Kind, StatusCode] = {
    Kind.INVALID_ARGUMENT: StatusCode.INVALID_ARGUMENT,
    Kind.NOT_FOUND: StatusCode.NOT_FOUND,
    Kind.ALREADY_EXISTS: StatusCode.ALREADY_EXISTS,
    Kind.FAILED_PRECONDITION: StatusCode.FAILED_PRECONDITION,
    Kind.ABORTED: StatusCode.ABORTED,
    Kind.PERMISSION_DENIED: StatusCode.PERMISSION_DENIED,
    Kind.UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
    Kind.RESOURCE_EXHAUSTED: StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: StatusCode.UNAVAILABLE,
    Kind.UNIMPLEMENTED: StatusCode.UNIMPLEMENTED,
    Kind.DATA_LOSS: StatusCode.DATA_LOSS,
    Kind.INTERNAL: StatusCode.INTERNAL,
}

DETAILS_BYTES = 6000
"""Details travel percent-encoded in a header; peers refuse headers above 8 KiB."""

_log = logging.getLogger("trunkline.api")


@dataclass(frozen=True, slots=True)
class Status:
    """What a client gets to see of an error."""

    code: StatusCode
    details: str


def status_of(error: BaseException, method: str, ambient: Ambient) -> Status:
    """The status for whatever a call raised. A bug is logged whole, under an id; the client gets only the id."""
    if isinstance(error, TrunklineError) and error.kind is not Kind.INTERNAL:
        return Status(GRPC_CODE[error.kind], fitting(str(error) or error.kind.value))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _log.warning("%s: %s", method, error)
        return Status(StatusCode.RESOURCE_EXHAUSTED, "the server's disk is full; free some space and try again")
    label = ambient.new_id()[:12]
    _log.error("bug %s in %s", label, method, exc_info=error)
    said = f": {error}" if isinstance(error, TrunklineError) and str(error) else ""
    return Status(
        StatusCode.INTERNAL,
        fitting(f"{method} failed because of a bug in the server{said}; the server's log has it under {label}"),
    )


def fitting(text: str) -> str:
    """`text`, cut where it would not fit into a header."""
    if len(text) * 9 <= DETAILS_BYTES:
        return text
    room = DETAILS_BYTES
    for at, char in enumerate(text):
        room -= len(quote(char, safe=" !\"#$&'()*+,/:;=?@[]{}|<>\\^`~"))
        if room < 0:
            return text[:at] + " …"
    return text
