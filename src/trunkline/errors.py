"""Every error that Trunkline raises on purpose, and what kind each is.

A kind says what a caller can do about it; the doors turn kinds into status codes, the message is for people: what
happened, to which object, why, and what to do next. Anything that is not a `TrunklineError` is a bug of ours.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What a caller can do: mend the request, look elsewhere, wait, try again, or call for help."""

    INVALID_ARGUMENT = "invalid argument"
    NOT_FOUND = "not found"
    ALREADY_EXISTS = "already exists"
    FAILED_PRECONDITION = "failed precondition"
    ABORTED = "aborted"
    PERMISSION_DENIED = "permission denied"
    UNAUTHENTICATED = "unauthenticated"
    RESOURCE_EXHAUSTED = "resource exhausted"
    UNAVAILABLE = "unavailable"
    UNIMPLEMENTED = "unimplemented"
    DATA_LOSS = "data loss"
    INTERNAL = "internal"


class TrunklineError(Exception):
    """Base of all. `str(error)` is the message a user reads."""

    kind = Kind.INTERNAL


class InvalidArgument(TrunklineError):
    """The request can never work as it is."""

    kind = Kind.INVALID_ARGUMENT


class NotFound(TrunklineError):
    """The thing named is not there."""

    kind = Kind.NOT_FOUND


class AlreadyExists(TrunklineError):
    """The thing to be made is there already."""

    kind = Kind.ALREADY_EXISTS


class FailedPrecondition(TrunklineError):
    """The request is sound, the state of the system forbids it."""

    kind = Kind.FAILED_PRECONDITION


class Aborted(TrunklineError):
    """Somebody else got there first, or the work was called off. Starting again may help."""

    kind = Kind.ABORTED


class PermissionDenied(TrunklineError):
    """Who asks may not do this."""

    kind = Kind.PERMISSION_DENIED


class Unauthenticated(TrunklineError):
    """Nobody knows who asks."""

    kind = Kind.UNAUTHENTICATED


class ResourceExhausted(TrunklineError):
    """A disk is full or a limit is reached."""

    kind = Kind.RESOURCE_EXHAUSTED


class Unavailable(TrunklineError):
    """The server or a part of it does not answer now."""

    kind = Kind.UNAVAILABLE


class Unimplemented(TrunklineError):
    """Trunkline does not do this (yet); the message says what to do instead."""

    kind = Kind.UNIMPLEMENTED


class DataLoss(TrunklineError):
    """Stored bytes are missing or wrong. Never raised for data that was deleted on purpose."""

    kind = Kind.DATA_LOSS


class BlobGone(DataLoss):
    """A blob that is needed is absent: lost, or deleted while it was being read. Who knows whether the file set that
    names it is still held knows which of the two, and answers Aborted for the second."""


class Internal(TrunklineError):
    """A promise of ours does not hold: a bug."""

    kind = Kind.INTERNAL
