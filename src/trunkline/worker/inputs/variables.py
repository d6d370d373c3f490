"""What tells code about its datum: variables, and how they are written down in /pfs/.env."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from trunkline.worker.ports import Datum, Element

_PLAIN = re.compile(r"[A-Za-z0-9_./:@=+-]*\Z")
_SHELL_IN_DOUBLE_QUOTES = re.compile(r'[$`\\"!\n]')


def environment(datum: Datum) -> dict[str, str]:
    """Variables that tell code about its datum (behaviour C.8): paths, commits and keys of its elements."""
    env = {"PACH_DATUM_ID": datum.id}
    elements: Sequence[Element] = datum.elements
    if len(elements) > 1:
        elements = sorted(elements, key=lambda each: (each.input, each.path))
    shown: set[str] = set()
    for element in elements:
        name = element.input
        if reserved(name) or name in shown:
            continue  # the first path in order stands for several
        if not element.s3:
            shown.add(name)
            env[name] = f"/pfs/{name}" + (element.path.rstrip("/"))
        env[f"{name}_COMMIT"] = element.commit
        if element.join_on:
            env[f"PACH_DATUM_{name}_JOIN_ON"] = element.join_on
        if element.group_by:
            env[f"PACH_DATUM_{name}_GROUP_BY"] = element.group_by
    return env


def reserved(name: str) -> bool:
    """Whether a variable is ours: neither an input nor a spec's `env` may set it."""
    return name in ("PATH", "HOME") or name.startswith(("LD_", "PACH_", "PPS_"))


@lru_cache(256)  # most are the same for all datums of a job
def quoted(value: str) -> str:
    """A value as it stands in /pfs/.env, read alike by a shell and by dotenv libraries wherever both can agree.

    Plain values stand bare, others in single quotes; a value with a single quote stands in double quotes, or, where a
    shell would expand something in those, in the escaped single quotes that dotenv libraries know.
    """
    if _PLAIN.match(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    if not _SHELL_IN_DOUBLE_QUOTES.search(value):
        return f'"{value}"'
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
