"""The S3 buckets of a datum: its inputs as they are, and `out` for what its code writes."""

from __future__ import annotations

import hmac
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.ambient import Ambient, Micros
from trunkline.app.inside.uploads import Stored, Uploads, together
from trunkline.errors import AlreadyExists
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Bucket, Listing, Object, Part, Parts, Shelf, Upload, Written
from trunkline.gateway.s3.shelves import ViewShelf, path_of
from trunkline.storage import View

OUT = "out"
"""The bucket that code writes to."""


@dataclass(frozen=True)
class InputBucket:
    """An input's commit."""

    view: View
    commit: str
    modified_us: Micros


@dataclass
class _Upload:
    key: str
    began_us: Micros
    parts: dict[int, Stored] = field(default_factory=dict)


class DatumShop:
    """Fills `gateway.s3.ports.Shop` and `Parts`. Whoever has the token of the claim may use it, and nobody else."""

    anonymous = False

    def __init__(self, folder: Path, ambient: Ambient) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed worker left
        self._folder = folder
        self._shown = 0
        self._ambient = ambient
        self._lock = threading.Lock()
        self._token = ""
        self._inputs: Mapping[str, InputBucket] = {}
        self._out: Uploads | None = None
        self._uploads: dict[str, _Upload] = {}

    # --- for the worker

    def admit(self, token: str) -> None:
        """Let in whoever has this token; "": nobody."""
        self.clear()
        self._token = token

    def show(self, inputs: Mapping[str, InputBucket], out: bool) -> None:
        """These are the buckets now; `out`, if there is one, is empty."""
        self.clear()
        self._shown += 1
        with self._lock:
            self._inputs = inputs
            self._out = Uploads(self._folder / str(self._shown), self._ambient) if out else None

    def take(self) -> Sequence[tuple[str, bytes]]:
        """What was put into `out`, which is closed from now on."""
        with self._lock:
            return self._out.take() if self._out is not None else ()

    def clear(self) -> None:
        """There are no buckets."""
        with self._lock:
            out, self._out = self._out, None
            self._inputs = {}
            self._uploads = {}
        if out is not None:
            out.close()

    # --- for the door

    @property
    def parts(self) -> Parts:
        """Uploads in parts."""
        return self

    def secret(self, access_key: str) -> str | None:
        """The token is key and secret."""
        token = self._token
        return token if token and hmac.compare_digest(access_key.encode(), token.encode()) else None

    def now_us(self) -> Micros:
        """The time."""
        return self._ambient.now_us()

    def buckets(self) -> Sequence[Bucket]:
        """The inputs, and `out`."""
        found = [Bucket(name, one.modified_us) for name, one in self._inputs.items()]
        if self._out is not None:
            found.append(Bucket(OUT, self.now_us()))
        return sorted(found, key=lambda one: one.name)

    def need(self, bucket: str) -> None:
        """Raise Fault NoSuchBucket where there is none."""
        self.open(bucket)

    def open(self, bucket: str, version: str = "") -> Shelf:
        """An input, or what was put into `out`, which is never listed."""
        found = self._inputs.get(bucket)
        if found is None:
            out = self._need_out(bucket)
            if version:
                raise Fault("NoSuchVersion", f"the bucket {OUT} has no versions before the job has ended")
            return _OutShelf(out)
        if version not in ("", found.commit):
            raise Fault("NoSuchVersion", f"the bucket {bucket} is commit {found.commit}, and has no other version")
        return ViewShelf(found.view, found.modified_us, found.commit)

    def create(self, bucket: str) -> None:
        """Nobody makes buckets here."""
        if bucket in self._inputs or (bucket == OUT and self._out is not None):
            raise Fault("BucketAlreadyOwnedByYou", f"the bucket {bucket} is there already")
        raise Fault("NotImplemented", f"{self._told()}; no others can be made")

    def delete(self, bucket: str) -> None:
        """Nor removes them."""
        self.need(bucket)
        raise Fault("NotImplemented", f"{self._told()}; none can be removed")

    def put(self, bucket: str, key: str, data: Iterator[bytes], fresh: bool = False) -> Written:
        """Into `out`."""
        out, path = self._writable(bucket), path_of(key)
        return self._keep(out, path, out.receive(data), fresh)

    def copy(self, bucket: str, key: str, source: str, source_key: str, version: str = "") -> Written:
        """Into `out`, from anywhere."""
        out, path = self._writable(bucket), path_of(key)
        shelf = self.open(source, version)
        found = shelf.find(source_key)
        if found is None:
            raise Fault("NoSuchKey", f"there is no object {source_key} in the bucket {source}")
        if isinstance(shelf, _OutShelf):
            return self._keep(out, path, out.again(shelf.stored(source_key)))
        return self._keep(out, path, out.receive(map(bytes, shelf.read(source_key, 0, found.size_bytes))))

    def remove(self, bucket: str, keys: Sequence[str]) -> None:
        """From `out`."""
        out = self._writable(bucket)
        for key in keys:
            out.remove(path_of(key))

    def _keep(self, out: Uploads, path: str, stored: Stored, fresh: bool = False) -> Written:
        try:
            out.keep(path, stored, fresh=fresh)
        except AlreadyExists as error:
            out.forget(stored)
            raise Fault("PreconditionFailed", str(error)) from error
        except BaseException:
            out.forget(stored)
            raise
        return Written(stored.hash, stored.at_us)

    def _need_out(self, bucket: str) -> Uploads:
        out = self._out
        if bucket != OUT or out is None:
            raise Fault("NoSuchBucket", f"there is no bucket {bucket}: {self._told()}")
        return out

    def _writable(self, bucket: str) -> Uploads:
        if bucket in self._inputs:
            raise Fault("AccessDenied", f"the bucket {bucket} is an input, which is read only; write to {OUT}")
        return self._need_out(bucket)

    def _told(self) -> str:
        names = [f"{name} (input)" for name in sorted(self._inputs)]
        names += [f"{OUT} (output)"] if self._out is not None else []
        return f"this datum has {', '.join(names) or 'none'}"

    # --- uploads in parts

    def begin(self, bucket: str, key: str) -> str:
        """A new upload."""
        self._writable(bucket)
        path_of(key)
        upload = self._ambient.new_id()
        with self._lock:
            self._uploads[upload] = _Upload(key, self.now_us())
        return upload

    def put_part(self, bucket: str, key: str, upload: str, number: int, data: Iterator[bytes]) -> Written:
        """Keep a part."""
        out, found = self._writable(bucket), self._need_upload(key, upload)
        stored = out.receive(data)
        with self._lock:
            former = found.parts.pop(number, None)
            found.parts[number] = stored
        if former is not None:
            out.forget(former)
        return Written(stored.hash, stored.at_us)

    def list_parts(self, bucket: str, key: str, upload: str) -> Sequence[Part]:
        """Those kept."""
        self._writable(bucket)
        found = self._need_upload(key, upload)
        with self._lock:
            return [Part(at, one.size_bytes, one.hash, one.at_us) for at, one in sorted(found.parts.items())]

    def complete(self, bucket: str, key: str, upload: str, numbers: Sequence[int]) -> Written:
        """The object is its parts, one behind the other: nothing is copied."""
        out, found = self._writable(bucket), self._need_upload(key, upload)
        written = self._keep(out, path_of(key), together(found.parts[number] for number in numbers))
        with self._lock:
            self._uploads.pop(upload, None)
        for number, part in found.parts.items():
            if number not in numbers:
                out.forget(part)
        return written

    def abort(self, bucket: str, key: str, upload: str) -> None:
        """Forget it."""
        out, found = self._writable(bucket), self._need_upload(key, upload)
        with self._lock:
            self._uploads.pop(upload, None)
        for part in found.parts.values():
            out.forget(part)

    def uploads(self, bucket: str) -> Sequence[Upload]:
        """Those that have begun."""
        if bucket in self._inputs:
            return ()
        self._need_out(bucket)
        with self._lock:
            return [Upload(named, one.key, one.began_us) for named, one in self._uploads.items()]

    def _need_upload(self, key: str, upload: str) -> _Upload:
        with self._lock:
            found = self._uploads.get(upload)
        if found is None or found.key != key:
            raise Fault("NoSuchUpload", f"no upload {upload[:64]} of {key} has begun, or it has ended")
        return found


class _OutShelf:
    """Fills `Shelf`. What this datum put can be read back, as clients do to see whether it came; it is never listed."""

    version = ""

    def __init__(self, out: Uploads) -> None:
        self._out = out

    def stored(self, key: str) -> Stored:
        """What lies there. Raises Fault NoSuchKey."""
        found = self._out.find(path_of(key))
        if found is None:
            raise Fault("NoSuchKey", f"there is no object {key} in the bucket {OUT}")
        return found

    def find(self, key: str) -> Object | None:
        """One object."""
        found = self._out.find(path_of(key))
        return Object(key, found.size_bytes, found.hash, found.at_us) if found is not None else None

    def read(self, key: str, offset: int, length: int) -> Iterator[bytes | memoryview]:
        """Its bytes."""
        return self.stored(key).read(offset, length)

    def list(self, prefix: str, folders: bool, after: str, limit: int) -> Listing:
        """Nothing."""
        return Listing()
