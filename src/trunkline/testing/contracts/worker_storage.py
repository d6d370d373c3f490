"""The promises of `worker.ports.Storage` and `Output`, in memory or over the object store."""

from __future__ import annotations

from typing import Protocol

import pytest

from trunkline.errors import NotFound
from trunkline.worker.ports import Claim, Element, Storage

TREES = {
    "images": {
        "/a.txt": b"one",
        "/big": bytes(range(256)) * 8192,  # 2 MiB: in pieces
        "/dir/b": b"two",
        "/dir/deep/c": b"",
        "/dirty": b"not below dir",
    },
    "labels": {"/a.txt": b"other"},
}
"""What lies in the repos, one commit each."""


class Lent(Protocol):
    """A storage over `TREES`, a claim to write for, and a way to see what was sealed."""

    storage: Storage
    claim: Claim

    def element(self, path: str, repo: str = "images", *, empty_files: bool = False, lazy: bool = False) -> Element:
        """An element of the repo's commit."""
        ...

    def written(self, sealed: object) -> dict[tuple[str, str], bytes]:
        """Content by path and datum."""
        ...


def fetched(lent: Lent, *elements: Element) -> dict[tuple[int, str], bytes]:
    """What a fetch gives, whole; each file once."""
    found: dict[tuple[int, str], bytes] = {}
    for file in lent.storage.fetch(elements):
        assert (file.element, file.path) not in found
        found[file.element, file.path] = file.data if isinstance(file.data, bytes) else b"".join(file.data)
    return found


class WorkerStorageContract:
    """Inherit, and give a fixture `lent`: a `Lent`."""

    def test_files_come_with_their_element(self, lent: Lent) -> None:
        found = fetched(lent, lent.element("/big"), lent.element("/a.txt"), lent.element("/a.txt", "labels"))
        images = TREES["images"]
        assert found == {(0, "/big"): images["/big"], (1, "/a.txt"): b"one", (2, "/a.txt"): b"other"}

    def test_a_folder_is_all_below_it_and_nothing_beside_it(self, lent: Lent) -> None:
        assert fetched(lent, lent.element("/dir")) == {(0, "/dir/b"): b"two", (0, "/dir/deep/c"): b""}
        whole = fetched(lent, lent.element("/"))
        assert whole == {(0, path): data for path, data in TREES["images"].items()}

    def test_elements_that_hold_one_another_each_get_their_files(self, lent: Lent) -> None:
        found = fetched(lent, lent.element("/dir/b"), lent.element("/dir"))
        assert found == {(0, "/dir/b"): b"two", (1, "/dir/b"): b"two", (1, "/dir/deep/c"): b""}

    def test_names_without_content(self, lent: Lent) -> None:
        found = fetched(lent, lent.element("/dir", empty_files=True), lent.element("/a.txt", empty_files=True))
        assert found == {(0, "/dir/b"): b"", (0, "/dir/deep/c"): b"", (1, "/a.txt"): b""}

    def test_what_is_lazy_can_be_read_again_and_again(self, lent: Lent) -> None:
        elements = [lent.element("/dir", lazy=True), lent.element("/big", lazy=True), lent.element("/a.txt")]
        found = {file.path: file.data for file in lent.storage.fetch(elements)}
        assert found.keys() == {"/dir/b", "/dir/deep/c", "/big", "/a.txt"}
        for _ in range(2):
            for path in ("/big", "/dir/deep/c"):
                data = found[path]
                assert not isinstance(data, bytes)
                assert b"".join(data) == TREES["images"][path]

    @pytest.mark.parametrize("path", ["/nobody", "/dir/nobody"])
    def test_what_is_not_there_is_not_found(self, lent: Lent, path: str) -> None:
        with pytest.raises(NotFound, match=path):
            fetched(lent, lent.element("/a.txt"), lent.element(path))

    def test_output_is_kept_by_datum(self, lent: Lent) -> None:
        output = lent.storage.output(lent.claim)
        assert output.put("/x", b"first", "d1") == 5
        assert output.put("/y", iter([b"in ", b"pieces"]), "d2") == 9
        assert output.put("/empty", b"", "d2") == 0
        assert lent.written(output.seal([])) == {
            ("/x", "d1"): b"first",
            ("/y", "d2"): b"in pieces",
            ("/empty", "d2"): b"",
        }

    def test_inputs_are_copied_by_reference(self, lent: Lent) -> None:
        output = lent.storage.output(lent.claim)
        images = TREES["images"]
        assert output.copy("/kept", lent.element("/"), "/big", "d1") == len(images["/big"])
        assert output.copy("/also", lent.element("/dir"), "/dir/b", "d1") == 3
        assert lent.written(output.seal([])) == {("/kept", "d1"): images["/big"], ("/also", "d1"): b"two"}

    def test_what_a_datum_put_can_be_forgotten(self, lent: Lent) -> None:
        output = lent.storage.output(lent.claim)
        output.put("/x", b"bad", "d1")
        output.put("/z", b"good", "d2")
        output.discard("d1")
        output.put("/x", b"again", "d1")
        assert lent.written(output.seal([])) == {("/x", "d1"): b"again", ("/z", "d2"): b"good"}

    def test_parts_of_a_claim_are_apart(self, lent: Lent) -> None:
        first, second = lent.storage.output(lent.claim), lent.storage.output(lent.claim)
        first.put("/x", b"1", "d1")
        second.put("/y", b"2", "d2")
        assert lent.written(first.seal([])) == {("/x", "d1"): b"1"}
        assert lent.written(second.seal([])) == {("/y", "d2"): b"2"}
