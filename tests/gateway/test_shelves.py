"""A commit as a bucket: listings compared with the rules of S3, said once more in plain loops."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Listing, Object
from trunkline.gateway.s3.shelves import ViewShelf
from trunkline.testing.stores import World

KEYS = st.lists(st.text("ab/.-é", min_size=1, max_size=7), max_size=12)


def tidy(keys: list[str]) -> set[str]:
    """Keys that can all be files of one commit."""
    found: set[str] = set()
    for key in sorted(keys):
        parts = [part for part in key.split("/") if part not in ("", ".", "..")]
        path = "/".join(parts)
        above = {"/".join(parts[:n]) for n in range(1, len(parts))}
        if path and not above & found and not any(other.startswith(f"{path}/") for other in found):
            found.add(path)
    return found


def expected(keys: set[str], prefix: str, folders: bool, after: str, limit: int) -> tuple[list[str], bool]:
    found = set()
    for key in keys:
        if key.startswith(prefix):
            cut = key.find("/", len(prefix)) if folders else -1
            found.add(key if cut < 0 else key[: cut + 1])
    left = [one for one in sorted(found, key=str.encode) if one.encode() > after.encode()]
    return left[:limit], len(left) > limit


def names(listing: Listing) -> list[str]:
    return [one.key if isinstance(one, Object) else one for one in listing.entries]


@settings(max_examples=60, deadline=None)
@given(KEYS, KEYS, st.text("ab/", max_size=3), st.booleans(), st.integers(1, 4))
def test_a_listing_is_what_s3_says(first: list[str], second: list[str], prefix: str, folders: bool, limit: int) -> None:
    prefix = prefix.lstrip("/").replace("//", "/")
    keys = tidy(first + second)
    world = World()
    try:
        half = {f"/{key}": key.encode() for key in keys if key in first}
        rest = {f"/{key}": key.encode() for key in keys if key not in first}
        base = world.commit([], half).manifest
        shelf = ViewShelf(world.view(world.commit(base, rest).manifest), 5)
        after = ""
        while True:  # page by page, from wherever the last one ended
            page = shelf.list(prefix, folders, after, limit)
            assert (names(page), page.truncated) == expected(keys, prefix, folders, after, limit)
            if not page.truncated:
                break
            after = names(page)[-1]
    finally:
        world.close()


def test_an_object_is_found_and_read_in_part_and_a_folder_is_none() -> None:
    world = World()
    try:
        shelf = ViewShelf(world.view(world.commit([], {"/a/b": b"0123456789"}).manifest), 5, "commit")
        found = shelf.find("a/b")
        assert found is not None
        assert (found.key, found.size_bytes, found.modified_us, len(found.etag)) == ("a/b", 10, 5, 64)
        assert b"".join(shelf.read("a/b", 3, 4)) == b"3456"
        assert shelf.find("a") is None
        assert shelf.find("a/../b") is None
        with pytest.raises(Fault):
            next(shelf.read("nothing", 0, 1))
        assert names(shelf.list("", True, "", 10)) == ["a/"]
    finally:
        world.close()
