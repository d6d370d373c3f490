"""Objects written to a store: whole or not at all, tried again where the store did not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trunkline.ambient import Ambient
from trunkline.errors import Unavailable
from trunkline.storage.objects.places import Place, store_errors, translated

TRIES = 6
FIRST_PAUSE_S = 0.5
PART_BYTES = 8 << 20

Data = bytes | Iterable[bytes | memoryview]


def write(place: Place, data: Callable[[], Data], ambient: Ambient) -> None:
    """Write an object, in the place of what is there.

    data: gives the content, from its start at each try; in pieces it is sent in parts, so that no more than a few of
    them are in memory. Raises PermissionDenied, InvalidArgument, Unavailable after several tries.
    """
    for failures in range(1, TRIES + 1):
        try:
            _put(place, data())
            return
        except Unavailable as error:
            if failures == TRIES:
                raise Unavailable(f"{error} (tried {TRIES} times)") from error
            ambient.sleep(FIRST_PAUSE_S * 2 ** (failures - 1))


def _put(place: Place, data: Data) -> None:
    import obstore

    try:
        if isinstance(data, bytes):
            obstore.put(place.store, place.path, data, use_multipart=False)
        else:
            obstore.put(place.store, place.path, iter(data), chunk_size=PART_BYTES, max_concurrency=4)
    except store_errors() as error:
        raise translated(error, place.shown, "write") from error
