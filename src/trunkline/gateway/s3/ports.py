"""What the S3 interface needs to know of the buckets it shows. `gateway.repos` and a worker's own shop fill it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from trunkline.ambient import Micros


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it is listed."""

    name: str
    created_us: Micros


@dataclass(frozen=True, slots=True)
class Object:
    """An object; its key has no slash at either end. etag: without quotes."""

    key: str
    size_bytes: int
    etag: str
    modified_us: Micros


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a bucket, in the order of keys: objects, and prefixes (that end in a slash) in the place of more."""

    entries: tuple[Object | str, ...] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What a write made. version: of the bucket that has it, "" if that is not known."""

    etag: str
    modified_us: Micros
    version: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that has begun."""

    id: str
    key: str
    began_us: Micros


@dataclass(frozen=True, slots=True)
class Part:
    """One part of it."""

    number: int
    size_bytes: int
    etag: str
    modified_us: Micros


class Shelf(Protocol):
    """A bucket's content, opened for reading; it stays as it is meanwhile."""

    @property
    def version(self) -> str:
        """Names this content; "": nothing does."""
        ...

    def find(self, key: str) -> Object | None:
        """One object; None if there is none of that key."""
        ...

    def read(self, key: str, offset: int, length: int) -> Iterator[bytes | memoryview]:
        """Bytes of an object that `find` has found."""
        ...

    def list(self, prefix: str, folders: bool, after: str, limit: int) -> Listing:
        """What starts with `prefix` and comes after `after`. folders: what lies in folders is one entry for each."""
        ...


class Parts(Protocol):
    """Multipart uploads. All raise Fault NoSuchUpload for one that is not known."""

    def begin(self, bucket: str, key: str) -> str:
        """A new one's id."""
        ...

    def put_part(self, bucket: str, key: str, upload: str, number: int, data: Iterator[bytes]) -> Written:
        """Keep a part, in the place of one of the same number."""
        ...

    def list_parts(self, bucket: str, key: str, upload: str) -> Sequence[Part]:
        """The parts that are kept, by number."""
        ...

    def complete(self, bucket: str, key: str, upload: str, numbers: Sequence[int]) -> Written:
        """Make the object of these parts, which are all there, and forget the upload."""
        ...

    def abort(self, bucket: str, key: str, upload: str) -> None:
        """Forget an upload and its parts."""
        ...

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """Those of a bucket that have begun, by key."""
        ...


class Shop(Protocol):
    """Buckets, and who may use them. Every method blocks, and may raise Fault or TrunklineError."""

    anonymous: bool
    """Whether requests need no signature."""

    @property
    def parts(self) -> Parts:
        """Uploads in parts."""
        ...

    def secret(self, access_key: str) -> str | None:
        """The secret that belongs to an access key; None: nobody has that key."""
        ...

    def now_us(self) -> Micros:
        """The time, by which signatures are judged."""
        ...

    def buckets(self) -> Sequence[Bucket]:
        """All of them, by name."""
        ...

    def need(self, bucket: str) -> None:
        """Raise Fault NoSuchBucket where there is none."""
        ...

    def open(self, bucket: str, version: str = "") -> Shelf:
        """A bucket's content as it is now, or as it was in a version. Raises Fault NoSuchBucket, NoSuchVersion."""
        ...

    def create(self, bucket: str) -> None:
        """Make a bucket."""
        ...

    def delete(self, bucket: str) -> None:
        """Remove an empty bucket."""
        ...

    def put(self, bucket: str, key: str, data: Iterator[bytes], fresh: bool = False) -> Written:
        """Keep an object, whole or not at all: not if `data` raises. fresh: only where there is none."""
        ...

    def copy(self, bucket: str, key: str, source: str, source_key: str, version: str = "") -> Written:
        """Make an object of what another holds."""
        ...

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there are passed over."""
        ...
