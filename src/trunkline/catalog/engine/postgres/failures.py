"""What PostgreSQL's errors mean to us, in words. None of them shows a password."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
from sqlalchemy.exc import DBAPIError

from trunkline.errors import (
    Aborted,
    DataLoss,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    TrunklineError,
    Unavailable,
)

# Could not serialise; a deadlock.
_AGAIN = ("40001", "40P01")
# The connection broke; the server is being stopped, has crashed, or is starting; a turn took too long.
_BROKEN = ("08", "57P", "25P03", "25P04")
_DAMAGED = ("XX001", "XX002")
_READ_ONLY = "25006"
_REFUSED = ("28", "3D000", "42501", "0A000", "3F000")

# What is said while a connection is made has no number.
_HOPELESS = re.compile(
    r"authentication failed|does not exist|no password supplied|no pg_hba\.conf entry|connection option"
    r"|permission denied|certificate"
)


class Repeat(Exception):
    """The connection broke, and nothing of the transaction was kept. `__cause__` is the driver's error."""


def driver_error(error: BaseException) -> psycopg.Error | None:
    """The driver's error behind one of ours, or of SQLAlchemy's; None: it has nothing to do with the database."""
    for one in _causes(error):
        if isinstance(one, psycopg.Error):
            return one
        if isinstance(one, DBAPIError) and isinstance(one.orig, psycopg.Error):
            return one.orig
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def is_broken(error: BaseException) -> bool:
    """Whether the connection is of no use any more."""
    told = driver_error(error)
    if told is None:
        return isinstance(error, Repeat)
    return _is_broken(told)


def _is_broken(told: psycopg.Error) -> bool:
    if told.sqlstate is not None:
        return told.sqlstate.startswith(_BROKEN)
    # What libpq finds out by itself has no number: the server hung up, or cannot be reached.
    return isinstance(told, psycopg.OperationalError) and not _HOPELESS.search(str(told))


def passes(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when it is run again."""
    told = driver_error(error)
    return is_broken(error) or (told is not None and (told.sqlstate or "") in _AGAIN)


def is_fatal(error: BaseException) -> bool:
    """Whether the server has found its own files damaged."""
    told = driver_error(error)
    return told is not None and told.sqlstate in _DAMAGED


def in_words(error: BaseException, name: str, hidden: str = "") -> BaseException:
    """The error for the caller: one of ours stays as it is, a driver's is translated and kept as its cause.

    name: how the database is called. hidden: a password, which is not to be seen in any message.
    """
    if isinstance(error, TrunklineError):
        return error
    told = driver_error(error)
    if told is None:
        return Unavailable(f"the database {name} cannot be reached") if isinstance(error, Repeat) else error
    what = " ".join((told.diag.message_primary or str(told)).split()) or type(told).__name__
    what = what.replace(hidden, "***") if hidden else what
    answer = _told(told, name, what)
    # SQLAlchemy's own message repeats the statement with its values.
    answer.__cause__ = told if not hidden or hidden not in str(told) else None
    return answer


def _told(error: psycopg.Error, name: str, what: str) -> TrunklineError:
    state = error.sqlstate or ""
    if state == "53100":
        return ResourceExhausted(f"the disk of the database {name} is full; nothing of this request was saved ({what})")
    if state in _AGAIN:
        return Unavailable(f"the database {name} is too busy to keep this request; try again ({what})")
    if state == _READ_ONLY:
        return Unavailable(f"the database {name} takes no changes: it is a standby, or made read-only ({what})")
    if state == "57014":
        return Aborted("the request was interrupted; nothing of it was saved")
    if state in _DAMAGED:
        return DataLoss(f"the database {name} is damaged ({what}); restore it from a backup")
    if state.startswith(_REFUSED) or (not state and _HOPELESS.search(what)):
        return FailedPrecondition(f"the database {name} cannot be used: {what}")
    if state.startswith("53") or state == "55P03" or _is_broken(error):
        return Unavailable(f"the database {name} cannot be reached or used at the moment; try again ({what})")
    if isinstance(error, psycopg.errors.IntegrityError):
        return Internal(f"a change would break a rule of the catalog ({what})")
    if isinstance(error, psycopg.DataError) and ("NUL" in what or state in ("22021", "22P05")):
        return InvalidArgument("a text holds a character of number 0, which cannot be kept; leave it out")
    return Internal(f"the catalog refused a statement ({what})")
