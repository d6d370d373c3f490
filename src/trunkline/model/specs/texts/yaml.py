"""Reading YAML strictly: YAML 1.2 scalars, no key twice, and nothing that two readers of YAML read differently."""

from __future__ import annotations

import re
from typing import Any

import yaml

from trunkline.model.paths import quoted
from trunkline.model.specs.complaints import Complaints, Path, Place
from trunkline.model.specs.texts.json import MAX_DEPTH, Unreadable

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_MAX_NODES = 100_000  # aliases of aliases grow without end
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = ("", "~", "null", "Null", "NULL")
# What YAML 1.1 reads as truth, base 8, base 2, base 60 or with underscores, and YAML 1.2 as text or otherwise.
_AMBIGUOUS = (
    (re.compile(r"(?:y|n|yes|no|on|off)\Z", re.IGNORECASE), "true or false"),
    (re.compile(r"[-+]?0[0-9_]+\Z"), "a number in base 8"),
    (re.compile(r"[-+]?0b[01_]+\Z"), "a number in base 2"),
    (re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z"), "a number in base 60"),
    (re.compile(r"[-+]?[0-9][0-9,]*_[0-9_,]*(?:\.[0-9_]*)?\Z"), "a number"),
)


def read_yaml(text: str) -> list[tuple[Any, Complaints]]:
    """The documents in `text`, empty ones left out, each with where its parts stand and complaints about its scalars.

    Raises Unreadable where it is not YAML.
    """
    found = []
    try:
        for node in yaml.compose_all(text, Loader=_LOADER):
            if node is not None and not _is_null(node):
                complaints = Complaints(places={})
                found.append((_Reader(complaints).value(node, (), 0), complaints))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "it cannot be read"
        raise Unreadable(problem, (mark.line + 1, mark.column + 1) if mark else (1, 1)) from None
    except yaml.YAMLError as error:
        raise Unreadable(str(error).replace("\n", " "), (1, 1)) from None
    return found


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style and node.value in _NULLS


class _Reader:
    def __init__(self, complaints: Complaints) -> None:
        self.complaints = complaints
        self.nodes = 0

    def value(self, node: yaml.Node, path: Path, depth: int) -> Any:
        """What one node means."""
        place = _place(node)
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested more than {MAX_DEPTH} deep", place)
        if self.nodes > _MAX_NODES:
            raise Unreadable("aliases make it too large", place)
        if isinstance(self.complaints.places, dict):
            self.complaints.places[path] = place
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, n), depth + 1) for n, child in enumerate(node.value)]
        return self.scalar(node, path) if isinstance(node, yaml.ScalarNode) else None

    def mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        """A mapping; its keys must be texts, each there once."""
        found: dict[str, Any] = {}
        for key, child in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not isinstance(key, yaml.ScalarNode):
                self.complaints.repeated(path, "a key must be a text", _place(key))
                continue
            if name == "<<" and not key.style:
                self.complaints.repeated(
                    (*path, name), 'merge keys ("<<") are not read; write the fields out', _place(key)
                )
                continue
            if name in found:
                first = self.complaints.place((*path, name))
                where = f" (first at line {first[0]})" if first else ""
                self.complaints.repeated((*path, name), f"{quoted(name)} is given twice{where}", _place(key))
            found[name] = self.value(child, (*path, name), depth + 1)
        return found

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        """A scalar; only a plain one can be anything but text."""
        text = str(node.value)
        plain = not node.style and node.tag.startswith(_TAG)
        if not plain:
            if node.tag not in (_TAG + "str", "!"):
                self.complaints.add(path, f"the tag {quoted(node.tag)} is not read; leave it out")
            return text
        for form, meaning in _AMBIGUOUS:
            if form.match(text):
                self.complaints.add(
                    path,
                    f"some readers of YAML take {text} for {meaning}, others do not; put it in quotes if it is text",
                )
                return text
        if text in _NULLS:
            return None
        if text in _WORDS:
            return _WORDS[text]
        if _INT.match(text):
            return int(text)
        if _BASED.match(text):
            return int(text, 0)
        return float(text) if _FLOAT.match(text) else text


def _place(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1
