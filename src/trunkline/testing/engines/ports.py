"""Ports for programs that must be told theirs before they take it: nobody else comes by one in the meantime."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

LOWEST, HIGHEST = 11_000, 30_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_claims: list[socket.socket] = []


def free_ports(count: int, host: str = "127.0.0.1", beside: int = 0) -> list[int]:
    """Ports of this machine on which nobody listens. beside: the port so much above each is free as well.

    They are not among those that the kernel gives to whoever asks for any, and this process keeps them from all others
    that ask here, until it ends. Raises OSError where there are none left.
    """
    found: list[int] = []
    for port in _candidates(beside):
        if len(found) == count:
            break
        if all(_is_free(host, each) for each in {port, port + beside}) and _claimed(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"no {count} ports are free on {host} between {LOWEST} and {HIGHEST}")
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """One of `free_ports`."""
    return free_ports(1, host)[0]


def _candidates(beside: int) -> Iterator[int]:
    """Each once; processes begin at different ones."""
    try:
        given = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError):
        given = HIGHEST
    end = min(HIGHEST, given) - beside
    span = range(LOWEST, end) if end > LOWEST else range(LOWEST, HIGHEST - beside)
    start = os.getpid() * 101 % len(span)
    yield from (*span[start:], *span[:start])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((host, port))
        except OSError:
            return False
    return True


def _claimed(port: int) -> bool:
    """Take it by a name that one process of a machine can have; it is gone with the process."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0trunkline-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
