"""The backup file: records one after another, each with its hash. docs/formats/backup.md describes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from trunkline.errors import InvalidArgument
from trunkline.model.backups.records import (
    ABOUT,
    PIECE_BYTES,
    SMALL_BYTES,
    Form,
    Record,
    listing,
    pieces_of,
    record,
    records,
)

__all__ = ["ABOUT", "PIECE_BYTES", "SMALL_BYTES", "Form", "Record", "listing", "pieces_of", "record", "records"]

CATALOG, KEY, BLOB, LISTED, END = range(2, 7)
"""Kinds of records beside ABOUT. LISTED: a blob that an earlier backup has. END is the last; a file without it is cut
off."""

FORM = Form(b"TRNKBACK", 1, "backup", END)


@dataclass(frozen=True, slots=True)
class About:
    """What a backup is. since: the id of the earlier one that has the blobs which are only listed; "": none are.

    keys: whether the key of all secrets is in it.
    """

    id: str
    created_us: int
    release: str
    since: str
    keys: bool

    def to_bytes(self) -> bytes:
        """As its record holds it."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> About:
        """The reverse. Raises InvalidArgument."""
        try:
            told = json.loads(data)
            return cls(
                str(told["id"]), int(told["created_us"]), str(told["release"]), str(told["since"]), bool(told["keys"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidArgument(f"the backup's description cannot be read ({error})") from error
