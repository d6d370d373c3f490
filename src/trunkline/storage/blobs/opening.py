"""Which blob store an address means."""

from __future__ import annotations

from trunkline.storage.blobs.local import LocalBlobs
from trunkline.storage.blobs.remote import ObjectBlobs
from trunkline.storage.objects.places import is_place, open_place


def open_blobs(where: str, owner: str = "") -> LocalBlobs | ObjectBlobs:
    """The blobs at the URL of an object store, or in a folder of this machine. Whoever opens them closes them.

    owner: the id of the server that has an object store to itself; a worker, which comes after it, gives none.
    Raises InvalidArgument, FailedPrecondition, Unavailable, PermissionDenied.
    """
    if not is_place(where):
        return LocalBlobs(where)
    blobs = ObjectBlobs(open_place(where))
    if owner:
        blobs.claim(owner)
    return blobs
