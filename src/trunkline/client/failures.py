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


_NOBODY = (
    "failed to connect",
    "connections to all backends failing",
    "no connection established",
    "resolving",
    "resolution",
)
_GONE = (
    "socket closed", "connection reset", "goaway", "broken pipe", "stream removed", "recvmsg", "endpoint closing",
    "cancelling all calls",
)  # fmt: skip
"""Words of the channel's own about a server that is not there, or no longer. Statuses that came over the wire carry the
server's words instead; nothing else tells the two apart."""


def translate(error: grpc.RpcError, address: Address, method: str) -> errors.TrunklineError:
    """The error of our own that `error` stands for, with the server's message.

    Where nobody answered it says how to start or choose a server.
    """
    if not isinstance(error, grpc.Call):
        return errors.Internal(str(error))
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        words = details.lower()
        if any(one in words for one in _NOBODY):
            return _unreachable(address, words)
        if any(one in words for one in _GONE):
            return errors.Unavailable(f"pachd at {address.place} went away in the middle of the call; try again")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and details == "Deadline Exceeded":
        return errors.Unavailable(f"pachd at {address.place} did not answer in time")
    if code is grpc.StatusCode.UNIMPLEMENTED and details in ("", "Method not found!"):
        details = f"the server at {address.place} has no call {method.strip('/')}"
    return _CODES.get(code, errors.Internal)(details or f"{method.strip('/')} failed: {code.name}")


def _unreachable(address: Address, words: str) -> errors.Unavailable:
    why = ""
    if address.tls and (refused := _refused(address, words)):
        return errors.Unavailable(f"cannot talk with pachd at {address.place}: {refused}")
    if any(one in words for one in ("ssl", "tls", "handshake")):
        why = " (the TLS handshake failed)"
    elif "resol" in words:
        why = " (the name cannot be resolved)"
    return errors.Unavailable(
        f"cannot reach pachd at {address.place}{why}; start one with `pachd`, or choose another with `pachctl connect`"
    )


def _refused(address: Address, words: str) -> str:
    """What of TLS did not work, and what to do; "" where it is not about that. words: gRPC's own, in small letters."""
    trust = "`pachctl config update context --server-cas FILE`, or the variable PACH_CA_CERTS"
    if "wrong_version_number" in words:
        return f"it speaks plaintext and no TLS; the address is grpc://{address.place}"
    if "hostname verification" in words:
        return f"its certificate is for another name than {address.host}; connect by a name that it holds"
    if "certificate has expired" in words:
        return "its certificate has expired; whoever runs the server has to renew it"
    if "not yet valid" in words:
        return "its certificate is not valid yet; compare the clocks of both machines"
    if "certificate_verify_failed" in words:
        return f"its certificate is not trusted; name the PEM file of who signed it (or of itself) with {trust}"
    if "create security handshaker" in words:
        return f"the certificates to be trusted cannot be read; name a PEM file with {trust}"
    return ""
