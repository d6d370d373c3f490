"""What the driver's errors mean to us, in words."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, IntegrityError

from trunkline.errors import Aborted, DataLoss, Internal, ResourceExhausted, TrunklineError, Unavailable

# The second: the shared-memory file of the log could not grow, the same full disk by another name.
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
# A write or sync that fails (a quota, a limit on the size of files, the disk) is not among these: it costs the commit
# in hand. What was acknowledged before has been synced; the log goes on from there and writes the failed frames again,
# and folding the log into the file is repeated from the same place, so pages that the kernel dropped come back.
_FATAL = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_NO_TEXT = "Could not decode to UTF-8"
"""The driver's words for a text in a row that is none; the error has no code."""


def code_of(error: BaseException) -> str:
    """SQLite's name of what went wrong, "" where it has none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlite_errorname", ""))


def is_fatal(error: BaseException) -> bool:
    """Whether the file is known to be damaged: nothing may be written to it any more."""
    return code_of(error).startswith(_FATAL)


def in_words(error: BaseException, is_driver: bool) -> BaseException:
    """The error for the caller: one of ours stays as it is, a driver's is translated and kept as its cause."""
    if isinstance(error, TrunklineError) or not (is_driver or isinstance(error, DBAPIError)):
        return error
    told = _told(error, code_of(error))
    told.__cause__ = error
    return told


def undecodable(error: UnicodeDecodeError) -> DataLoss:
    """Of what the driver raises where SQLite names a part of a damaged schema that is no text any more."""
    return DataLoss(f"the catalog file is damaged (a text in it cannot be read: {error}); restore it from a backup")


def _told(error: BaseException, code: str) -> TrunklineError:
    what = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    if code in _FULL:
        return ResourceExhausted(f"the disk of the catalog is full; nothing of this request was saved ({what})")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable(f"another program holds the catalog file; try again when it has finished ({what})")
    if code.startswith("SQLITE_INTERRUPT"):
        return Aborted("the request was interrupted; nothing of it was saved")
    if code.startswith(_FATAL) or what.startswith(_NO_TEXT):
        return DataLoss(f"the catalog file is damaged ({what}); restore it from a backup")
    if code.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return Unavailable(
            "the catalog cannot be written to or read: a quota is used up, or the disk fails; "
            f"whether this request was saved is unknown ({what})"
        )
    if isinstance(error, IntegrityError) or code.startswith("SQLITE_CONSTRAINT"):
        return Internal(f"a change would break a rule of the catalog ({what})")
    return Internal(f"the catalog refused a statement ({what})")
