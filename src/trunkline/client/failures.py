"""A failed call, turned back into the error that the server raised."""

from __future__ import annotations

import grpc

from trunkline import errors
from trunkline.client.address import Address

_CODES: dict[grpc.StatusCode, type[errors.TrunklineError]] = {
    grpc.StatusCode.CANCELLED: errors.Aborted,
    grpc.StatusCode.UNKNOWN: errors.Internal,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidArgument,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unimplemented,
    grpc.StatusCode.INTERNAL: errors.Internal,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
}


def translate(error: grpc.RpcError, address: Address, method: str) -> errors.TrunklineError:
    """The error of our own that `error` stands for, with the server's message.

    An Unavailable that the server did not send itself says how to start or choose a server.
    """
    if not isinstance(error, grpc.Call):
        return errors.Internal(str(error))
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE and not _from_server(error):
        return _unreachable(address, details)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not _from_server(error):
        return errors.Unavailable(f"pachd at {address.place} did not answer in time")
    if code is grpc.StatusCode.UNIMPLEMENTED and details in ("", "Method not found!"):
        details = f"the server at {address.place} has no call {method.strip('/')}"
    return _CODES.get(code, errors.Internal)(details or f"{method.strip('/')} failed: {code.name}")


def _from_server(error: grpc.Call) -> bool:
    """Whether the status came over the wire; a status of the channel's own says nothing of a peer."""
    text = getattr(error, "debug_error_string", lambda: "")() or ""
    return "from peer" in text


def _unreachable(address: Address, details: str) -> errors.Unavailable:
    lower = details.lower()
    if any(word in lower for word in ("socket closed", "reset", "goaway", "broken pipe", "stream removed")):
        return errors.Unavailable(f"pachd at {address.place} went away in the middle of the call; try again")
    why = ""
    if any(word in lower for word in ("ssl", "tls", "handshake", "certificate")):
        why = f" ({'its certificate is not trusted' if 'certificate' in lower else 'the TLS handshake failed'})"
    elif "name resolution" in lower or "dns" in lower:
        why = " (the name cannot be resolved)"
    return errors.Unavailable(
        f"cannot reach pachd at {address.place}{why}; start one with `pachd`, or choose another with `pachctl connect`"
    )
