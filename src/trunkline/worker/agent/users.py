"""`transform.user`: whose rights the code runs with, as `/etc/passwd` inside tells."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    """uid, gid and supplementary groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class NoSuchUser(Exception):
    """The text names nobody here, or somebody this process may not become. The message says which."""


def find(spec: str) -> User | None:
    """Whom `name[:group]` or `uid[:gid]` names; None for "" and for who we are anyway. Raises NoSuchUser."""
    if not spec:
        return None
    name, _, group = spec.partition(":")
    entries = _table("/etc/passwd", 4)
    mine = next((each for each in entries if each[0] == name or each[2] == name), None)
    if mine is None and not name.isdigit():
        raise NoSuchUser(f'no user "{name}" in /etc/passwd')
    uid = int(mine[2]) if mine else int(name)
    gid = _group(group) if group else int(mine[3]) if mine else uid
    if uid == os.getuid() and gid == os.getgid():
        return None
    if os.getuid() != 0:
        raise NoSuchUser(f'cannot become user "{spec}": this worker runs as uid {os.getuid()} and only root may change')
    login = mine[0] if mine else ""
    more = [int(each[2]) for each in _table("/etc/group", 4) if login and login in each[3].split(",")]
    return User(uid, gid, tuple(sorted({gid, *more})))


def _group(name: str) -> int:
    if name.isdigit():
        return int(name)
    for each in _table("/etc/group", 3):
        if each[0] == name:
            return int(each[2])
    raise NoSuchUser(f'no group "{name}" in /etc/group')


def _table(path: str, columns: int) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            rows = [line.rstrip("\n").split(":") for line in lines]
    except OSError:
        return []
    return [row for row in rows if len(row) >= columns and row[2].isdigit()]
