"""Blobs as objects of an S3-compatible store, of Google's, or of Azure's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trunkline.errors import FailedPrecondition, NotFound, TrunklineError
from trunkline.storage.blobs.port import Data, check_name, check_span, in_parts
from trunkline.storage.objects.places import Place, no_bucket, store_errors, translated

OWNER = "owner"
"""The blob that says whose the others are."""


class ObjectBlobs:
    """A blob store below one place of an object store, durable as that is. Any number of processes may use it together.

    A blob is put by a request that the store refuses where the name is taken, so two writers never mix.
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    def close(self) -> None:
        """Nothing is held open."""

    def claim(self, owner: str) -> None:
        """Take the place for one server, for ever: what others collect here would be gone. owner: its id.

        Raises FailedPrecondition where it is another's, where the store would overwrite what is there, and where there
        is no such bucket.
        """
        try:
            found = self.get(OWNER)
        except (NotFound, FailedPrecondition):  # some servers make a bucket for whoever writes first
            self.put(OWNER, owner.encode())
            found = self.get(OWNER)
        if found != owner.encode():
            raise FailedPrecondition(
                f"{self.place.shown} belongs to another server ({found.decode(errors='replace')}), which deletes there "
                "what it does not know; choose another path in the bucket with --storage"
            )
        if self.put(OWNER, owner.encode()):
            raise FailedPrecondition(
                f"the store at {self.place.shown} overwrites objects that were to be created only; "
                "use one that honours If-None-Match"
            )

    def put(self, name: str, data: Data, *, passing: bool = False) -> bool:
        """See `BlobStore.put`."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        at = self._at(name)
        whole = b"".join(in_parts(data))
        try:
            obstore.put(at.store, at.path, whole, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except store_errors() as error:
            raise _met(error, f"blob {at.shown}", "write") from error
        return True

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `BlobStore.get`."""
        import obstore

        at = self._at(name)
        span = start > 0 or length is not None
        if span and (start < 0 or length is None or length <= 0):
            # No request says these: ask for the size first.
            length = check_span(name, self.size(name), start, length)
            if not length:
                return b""
        try:
            if not span:
                return bytes(obstore.get(at.store, at.path).bytes())
            wanted = {"range": (start, start + (length or 0))}
            answer = obstore.get(at.store, at.path, options=wanted)  # type: ignore[arg-type]
            check_span(name, answer.meta["size"], start, length)
            data = bytes(answer.bytes())
        except store_errors() as error:
            refused = self._refused(error, at, name)
            if span and not isinstance(refused, NotFound):
                check_span(name, self.size(name), start, length)  # the store refuses what begins past the end
            raise refused from error
        check_span(name, start + len(data), start, length)
        return data

    def size(self, name: str) -> int:
        """See `BlobStore.size`."""
        import obstore

        at = self._at(name)
        try:
            return obstore.head(at.store, at.path)["size"]
        except store_errors() as error:
            raise self._refused(error, at, name) from error

    def delete(self, name: str) -> None:
        """See `BlobStore.delete`."""
        import obstore

        at = self._at(name)
        try:
            obstore.delete(at.store, at.path)
        except store_errors() as error:
            met = _met(error, f"blob {at.shown}", "delete")
            if not isinstance(met, NotFound):
                raise met from error

    def delete_all(self, names: Sequence[str]) -> None:
        """See `BlobStore.delete_all`. Stores that speak S3 take 1,000 names in a request, and Azure's 256."""
        import obstore

        paths = [self._at(name).path for name in names]
        try:
            obstore.delete(self.place.store, paths)
        except store_errors() as error:
            met = _met(error, f"{len(names)} blobs in {self.place.shown}", "delete")
            if not isinstance(met, NotFound):
                raise met from error
            for name in names:  # one of them is absent, and what was to come after it may still be there
                self.delete(name)

    def names(self, prefix: str = "") -> Iterator[str]:
        """See `BlobStore.names`."""
        folder = prefix.rpartition("/")[0]
        yield from self._walk(f"{folder}/" if folder else "", prefix)

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        """Folder by folder: not every store that speaks S3 lists all names in their order."""
        import obstore

        top = self.place.below(folder)
        root = f"{self.place.path}/" if self.place.path else ""
        try:
            found = obstore.list_with_delimiter(top.store, prefix=top.path or None)
        except store_errors() as error:
            raise _met(error, f"blobs in {self.place.shown}", "list") from error
        # Some stores show a folder that has just become empty as an object of its own name.
        names = [meta["path"] for meta in found["objects"] if meta["path"].rstrip("/") != top.path.rstrip("/")]
        folders = [f"{path.rstrip('/')}/" for path in found["common_prefixes"]]
        for name in (path.removeprefix(root) for path in sorted([*names, *folders])):
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix):
                yield name

    def _at(self, name: str) -> Place:
        return self.place.below(check_name(name))

    @staticmethod
    def _refused(error: Exception, at: Place, name: str) -> TrunklineError:
        met = _met(error, f"blob {at.shown}", "read")
        return NotFound(f"there is no blob {name}") if isinstance(met, NotFound) else met


def _met(error: Exception, shown: str, doing: str) -> TrunklineError:
    """What a store's error means. Of a bucket that is gone nobody may conclude that a blob was deleted."""
    said = translated(error, shown, doing)
    return FailedPrecondition(str(said)) if no_bucket(error) else said
