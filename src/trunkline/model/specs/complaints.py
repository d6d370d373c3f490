"""What is wrong with a spec, all of it at once: each complaint with the JSON path, and where in the text it stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from trunkline.errors import InvalidArgument
from trunkline.model.paths import quoted

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong."""

    path: str
    text: str
    place: Place | None = None

    def __str__(self) -> str:
        where = f" (line {self.place[0]}, column {self.place[1]})" if self.place else ""
        return f"{self.path}{where}: {self.text}" if self.path else f"{self.text}{where}"


@dataclass
class Complaints:
    """Collects complaints about one spec.

    places: where each path stands in the text. spelled: the names as the user wrote them, for paths that use others.
    root: where in the text the spec stands; the paths that callers give begin there.
    """

    places: Mapping[Path, Place] = field(default_factory=dict)
    found: list[Complaint] = field(default_factory=list)
    spelled: dict[Path, str] = field(default_factory=dict)
    root: Path = ()
    _bad: set[Path] = field(default_factory=set)
    _meant: set[Path] = field(default_factory=set)

    def under(self, root: Path) -> Complaints:
        """The same complaints, for callers whose paths begin at `root`."""
        return replace(self, root=root)

    def add(self, path: Path, text: str) -> None:
        """Complain about `path`. A second complaint about the same path is one too many, and dropped."""
        if (*self.root, *path) in self._bad:
            return
        self._bad.add((*self.root, *path))
        self.found.append(Complaint(self.shown(path), text, self.place(path)))

    def repeated(self, path: Path, text: str, place: Place) -> None:
        """Complain about a key of `path` that stands at `place`, in a text that is still being read."""
        self._bad.add((*self.root, *path))
        self.found.append(Complaint(self.shown(path), text, place))

    def meant(self, path: Path) -> None:
        """Note that what was complained about is likely to be `path`: it is no use to say that this is missing."""
        self._meant.add((*self.root, *path))

    def about(self, path: Path) -> bool:
        """Whether something was said about `path`, or about anything in it or around it."""
        whole = (*self.root, *path)
        return any(bad[: len(whole)] == whole[: len(bad)] for bad in self._bad | self._meant)

    def spell(self, path: Path, written: str) -> None:
        """Note how the user wrote the last name of `path`."""
        self.spelled[(*self.root, *path)] = written

    def spelling(self, path: Path) -> str | None:
        """How the user wrote the last name of `path`, if that was noted."""
        return self.spelled.get((*self.root, *path))

    def place(self, path: Path) -> Place | None:
        """Where `path` stands in the text; for what is missing, where it should have been."""
        written = self.written(path)
        for end in range(len(written), -1, -1):
            if written[:end] in self.places:
                return self.places[written[:end]]
        return None

    def written(self, path: Path) -> Path:
        """`path` from the beginning of the text, with the names that the text uses."""
        whole = (*self.root, *path)
        return tuple(self.spelled.get(whole[: n + 1], name) for n, name in enumerate(whole))

    def shown(self, path: Path) -> str:
        """`path` as text: `input.cross[0].pfs.glob`."""
        text = ""
        for part in self.written(path):
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
        return text


def refusal(complaints: Iterable[Complaint], what: str = "the pipeline spec") -> InvalidArgument:
    """One error that holds all of `complaints`, in the order of the text."""
    listed = sorted(complaints, key=lambda one: one.place or (0, 0))
    if len(listed) == 1:
        return InvalidArgument(f"{what} is invalid: {listed[0]}")
    lines = "".join(f"\n  {one}" for one in listed)
    return InvalidArgument(f"{what} is invalid in {len(listed)} places:{lines}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the known name that is most like `name`, or nothing."""
    near = closest(name, known)
    return f"; did you mean {quoted(near)}?" if near else ""


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like `name`, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return near[0] if near else ""
