"""Random edits against a dict: what is written, layered, finished, merged and compared is what the dict says."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from trunkline.model.globs import Glob
from trunkline.storage import Sealed, View, Writer, changes, entries
from trunkline.storage.filesets import cache, seal
from trunkline.storage.writing import layers, levels, writer
from trunkline.testing.stores import Model, World, blank, contents

NAMES = st.sampled_from(["a", "a.txt", "b", "a-b", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
FOLDERS = st.lists(NAMES, max_size=2).map(lambda names: "/" + "".join(f"{name}/" for name in names))
DATUMS = st.sampled_from(["", "", "", "d1", "d2"])
BYTES = st.binary(max_size=6) | st.integers(0, 3).map(lambda n: bytes([65 + n]) * 5000)

EDITS = st.one_of(
    st.tuples(st.just("put"), PATHS, BYTES, DATUMS),
    st.tuples(st.just("append"), PATHS, BYTES, DATUMS),
    st.tuples(st.just("delete"), PATHS, DATUMS.map(lambda datum: datum or None)),
    st.tuples(st.just("delete"), FOLDERS, DATUMS.map(lambda datum: datum or None)),
    st.tuples(st.just("copy"), PATHS | FOLDERS, PATHS, st.booleans()),
)


def apply(model: Model, source: Model, edit: tuple) -> None:  # type: ignore[type-arg]
    match edit:
        case ("put", path, data, datum):
            if not datum:
                model[path] = {}
            model.setdefault(path, {})[datum] = data
        case ("append", path, data, datum):
            by = model.setdefault(path, {})
            by[datum] = by.get(datum, b"") + data
        case ("delete", path, datum):
            for one in list(model):
                if one == path or (path.endswith("/") and one.startswith(path)):
                    model[one] = {d: data for d, data in model[one].items() if datum is not None and d != datum}
        case ("copy", src, dst, append):
            for one, by in source.items():
                if one == src or one.startswith(src if src.endswith("/") else f"{src}/"):
                    target = dst + one[len(src.rstrip("/")) :] if one != src else dst
                    apply(model, {}, ("append" if append else "put", target, next(iter(by.values())), ""))


def write(to: Writer, source: View, edit: tuple) -> None:  # type: ignore[type-arg]
    match edit:
        case ("put" | "append", path, data, datum):
            to.put(path, data, datum, append=edit[0] == "append")
        case ("delete", path, datum):
            to.delete(path, datum)
        case ("copy", src, dst, append):
            to.copy(source, src, dst, append=append)


def sound(model: Model) -> bool:
    """Whether a commit of this content has no error."""
    folders = {path[:at] for path in model for at in range(1, len(path)) if path[at] == "/"}
    return all(len(by) == 1 for by in model.values()) and not folders & set(model)


def tree(model: Model) -> dict[str, tuple[int, int]]:
    """Bytes and files of each file and directory."""
    found: dict[str, tuple[int, int]] = {}
    for path, by in model.items():
        for data in by.values():
            for name in (path, *(path[: at + 1] for at in range(len(path)) if path[at] == "/")):
                size, count = found.get(name, (0, 0))
                found[name] = (size + len(data), count + 1)
    return found


class Storage(RuleBasedStateMachine):
    """A line of commits, each of some layers, beside a dict each."""

    spill = 250_000
    free_rows = 10_000
    slice_rows = 200_000
    window = 65_536
    inline_bytes = seal.INLINE_BYTES
    part_rows = seal.PART_ROWS
    shallow_part = cache.SHALLOW_PART

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(writer, "SPILL_EDITS", self.spill)
        self.patch.setattr(levels, "FREE_ROWS", self.free_rows)
        for module in (levels, layers):
            self.patch.setattr(module, "SLICE_ROWS", self.slice_rows)
        self.patch.setattr(seal, "INLINE_BYTES", self.inline_bytes)
        self.patch.setattr(seal, "PART_ROWS", self.part_rows)
        self.patch.setattr(cache, "SHALLOW_PART", self.shallow_part)
        self.patch.setitem(View.scan.__kwdefaults__, "window", self.window)
        self.world = World()
        self.manifest: Sequence[Sealed] = ()
        self.committed: Model = {}
        self.layers: list[Sealed] = []
        self.model: Model = {}
        self.history: list[tuple[Sequence[Sealed], Model]] = [((), {})]

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            self.patch.undo()

    @rule(edits=st.lists(EDITS, min_size=1, max_size=6))
    def stream(self, edits: list[tuple]) -> None:  # type: ignore[type-arg]
        source, view = copy.deepcopy(blank(self.committed)), self.world.view(self.manifest)
        to = self.world.writer(view)
        for edit in edits:
            write(to, view, edit)
            apply(self.model, source, edit)
        self.layers += to.seal()

    @precondition(lambda self: len(self.layers) > 1)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.layers) - 2))
        end = data.draw(st.integers(start + 2, len(self.layers)))
        self.layers[start:end] = [self.world.store.compact(self.world.rows.open(), self.layers[start:end])]

    @rule()
    def finish(self) -> None:
        model = blank(self.model)
        finished = self.world.finish(self.manifest, self.layers)
        assert bool(finished.error) != sound(model)
        if finished.error:
            self.model, self.layers = copy.deepcopy(self.committed), []
            return
        assert (finished.size_bytes, finished.files) == tree(model).get("/", (0, 0))
        assert len(finished.manifest) <= 8
        if finished.diff is not None:
            again = self.world.view([*self.manifest, finished.diff])
            assert contents(again) == model, "the diff is a layer that gives the same"
        self.compare(finished.manifest, model)
        self.manifest, self.committed, self.layers = finished.manifest, model, []
        self.model = copy.deepcopy(model)
        self.history.append((self.manifest, model))

    def compare(self, manifest: Sequence[Sealed], model: Model) -> None:
        for other_manifest, other in self.history[-3:]:
            new, old = self.world.view(manifest), self.world.view(other_manifest)
            changed = {
                path
                for path in set(model) | set(other)
                if list(model.get(path, {}).values()) != list(other.get(path, {}).values())
            }
            found = list(changes(new.diff(old)))
            names = [(change.new or change.old).path for change in found]  # type: ignore[union-attr]
            assert names == sorted(names)
            shallow = [(change.new or change.old).path for change in changes(new.diff(old, shallow=True))]  # type: ignore[union-attr]
            assert shallow == [name for name in names if name.rstrip("/").count("/") == 1]
            files = {name for name in names if not name.endswith("/")}
            assert changed <= files
            for change in found:
                assert change.new != change.old
                if change.new and change.old:
                    assert change.new.hash != change.old.hash

    @invariant()
    def reads_back(self) -> None:
        if not hasattr(self, "world"):
            return
        model = blank(self.model)
        assert contents(self.world.view([*self.manifest, *self.layers])) == model

    @rule()
    def look(self) -> None:
        model = blank(self.model)
        view = self.world.view([*self.manifest, *self.layers])
        expected = tree(model)
        walked = list(entries(view.walk("/")))
        assert [entry.path for entry in walked] == sorted(entry.path for entry in walked)
        sums: dict[str, tuple[int, int]] = {}
        for entry in walked:
            size, count = sums.get(entry.path, (0, 0))
            sums[entry.path] = (size + entry.size_bytes, count + entry.files)
        assert sums == expected
        for folder in [path for path in expected if path.endswith("/")]:
            listed = [entry.path for entry in entries(view.list(folder))]
            inside = [entry.path for entry in walked if entry.path != folder and entry.path.startswith(folder)]
            assert listed == [path for path in inside if "/" not in path[len(folder) : -1]]
            backwards = [entry.path for entry in entries(view.list(folder, reverse=True, limit=2))]
            assert backwards == listed[::-1][:2]
            if listed and sound(model):
                assert [entry.path for entry in entries(view.list(folder, after=listed[0]))] == listed[1:]
        for pattern in ("/", "/*", "/a*", "/**", "/*/a"):
            glob = Glob(pattern)
            matched = [entry.path for entry in entries(view.glob(glob))]
            assert matched == [entry.path for entry in walked if glob.match(entry.path) is not None]
        for path in expected:
            found = view.find(path)
            assert found is not None
            assert found.path == path


class Spilling(Storage):
    """The same, with layers of hardly any edits, runs that are merged late and lie in parts of a few rows, what lies
    least deep kept apart, and everything done in small ranges."""

    spill = 2
    free_rows = 3
    slice_rows = 2
    window = 3
    inline_bytes = 0
    part_rows = 4
    shallow_part = 2


TestStorage = Storage.TestCase
TestSpilling = Spilling.TestCase
QUICK = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestStorage.settings = QUICK
TestSpilling.settings = QUICK


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("machine", [Storage, Spilling])
def test_storage_for_long(machine: type[RuleBasedStateMachine], record_property: Callable[[str, object], None]) -> None:
    long = settings(QUICK, max_examples=1000, stateful_step_count=30, derandomize=False)
    run_state_machine_as_test(machine, settings=long)
    record_property("figures", f"1000 histories of {machine.__name__}")
