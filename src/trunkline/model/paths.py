"""Paths of files: what may be one, its stored form, and the directories above it.

A cleaned path starts with "/" and does not end in one; the root is "/". Where storage names a directory it adds the
trailing slash: `directory` and `parents` give that form, so that a directory sorts before what lies in it.
"""

from __future__ import annotations

import re

from trunkline.errors import InvalidArgument

ROOT = "/"
MAX_PATH_BYTES = 4096
MAX_ELEMENT_BYTES = 255

_SHOWN = 120  # characters of an offending text that an error repeats
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_BAD = re.compile(rf"{_CONTROL}|(?:\A|/)\.\.?(?:/|\Z)")
_SLASHES = re.compile("//+")
_PLAIN = re.compile(rf"(?:/(?!\.\.?(?:/|\Z))[ -.0-~]{{1,{MAX_ELEMENT_BYTES}}})+\Z")
"""What most paths are: as they are stored, of printable ASCII, each element short."""


def validate(path: str) -> str:
    """`path`, if its text may name a file or directory. Raises InvalidArgument, naming the text and the rule.

    Rules: valid UTF-8, no control characters, no "." or ".." element, at most 4096 bytes in all and 255 an element.
    """
    try:
        raw = path.encode()
    except UnicodeEncodeError as error:
        raise _refused(path, f"character {error.start + 1} is not valid UTF-8") from None
    bad = _BAD.search(path)
    if bad and bad[0].strip("/") in (".", ".."):
        raise _refused(path, f'an element "{bad[0].strip("/")}" is not allowed')
    if bad:
        raise _refused(path, f"control characters are not allowed (U+{ord(bad[0]):04X} at character {bad.start() + 1})")
    if len(raw) > MAX_PATH_BYTES:
        raise _refused(path, f"it has {len(raw)} bytes; at most {MAX_PATH_BYTES} are allowed")
    if len(raw) > MAX_ELEMENT_BYTES:
        longest = max(raw.split(b"/"), key=len)
        if len(longest) > MAX_ELEMENT_BYTES:
            what = f"the element {quoted(longest.decode())} has {len(longest)} bytes"
            raise _refused(path, f"{what}; at most {MAX_ELEMENT_BYTES} are allowed")
    return path


def clean(path: str) -> str:
    """`path` in its stored form: one leading slash, none at the end, none doubled; "" is the root.

    Raises InvalidArgument as `validate` does, for the stored form.
    """
    if len(path) < MAX_PATH_BYTES:
        stored = path if path.startswith("/") else "/" + path
        if _PLAIN.match(stored):
            return stored
    stored = "/" + _SLASHES.sub("/", path).strip("/")
    return validate(stored)


def directory(path: str) -> str:
    """`path` as the name of a directory: with a slash at its end."""
    return path if path.endswith("/") else path + "/"


def parent(path: str) -> str:
    """The directory that holds `path`, with its trailing slash. The root is its own parent."""
    return path.rstrip("/").rpartition("/")[0] + "/"


def parents(path: str) -> list[str]:
    """Every directory above `path`, the root first, each with its trailing slash. Nothing is above the root."""
    found = []
    end = path.find("/", 0, len(path) - 1)
    while end >= 0:
        found.append(path[: end + 1])
        end = path.find("/", end + 1, len(path) - 1)
    return found


def name(path: str) -> str:
    """The last element of `path`, without slashes; "" for the root."""
    return path.rstrip("/").rpartition("/")[2]


def join(*parts: str) -> str:
    """The cleaned path that leads through `parts`, one below the other. Raises InvalidArgument as `clean` does."""
    return clean("/".join(parts))


def quoted(text: str) -> str:
    """`text` in double quotes as an error shows it: what cannot be printed is escaped, what is long is cut."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_SHOWN])
    return f'"{shown}{"…" if len(text) > _SHOWN else ""}"'


def _refused(path: str, rule: str) -> InvalidArgument:
    return InvalidArgument(f"path {quoted(path)} is invalid: {rule}")
