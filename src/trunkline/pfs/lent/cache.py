"""What clients keep under keys: a small value each, and file sets that last as long as the entry does."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.catalog.engine import Tx
from trunkline.catalog.lent import cache as cache_rows
from trunkline.errors import InvalidArgument, NotFound
from trunkline.pfs.lent.pseudo import need_leases

MAX_VALUE_BYTES = 1 << 20
MAX_KEY_BYTES = 1024


def put_cache(tx: Tx, key: str, value: bytes, filesets: Sequence[str], tag: str = "") -> None:
    """Keep a value under a key, in the place of what it had. Raises NotFound for a file set whose lease ran out."""
    for what, text in (("key", key), ("tag", tag)):
        if len(text.encode()) > MAX_KEY_BYTES:
            raise InvalidArgument(f"the {what} of a cache entry has at most {MAX_KEY_BYTES} bytes")
    if not key:
        raise InvalidArgument("a cache entry needs a key")
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidArgument(
            f"the value of cache entry {key} has {len(value)} bytes; at most {MAX_VALUE_BYTES} are kept, "
            "so put what is larger into a file set"
        )
    wanted = list(dict.fromkeys(filesets))
    need_leases(tx, wanted)
    cache_rows.put_entry(tx, key, tag, value, wanted)


def get_cache(tx: Tx, key: str) -> bytes:
    """The value under a key. Raises NotFound."""
    value = cache_rows.get_entry(tx, key)
    if value is None:
        raise NotFound(f'cache entry "{key}" not found')
    return value


def clear_cache(tx: Tx, tag_prefix: str = "") -> int:
    """Forget every entry whose tag begins so, "" being all. Their file sets end when their leases do."""
    return cache_rows.clear_entries(tx, tag_prefix)
