"""Ports that tests choose beforehand."""

from __future__ import annotations

import socket
import subprocess
import sys

from trunkline.testing.engines.ports import EPHEMERAL, free_port, free_ports


def test_no_two_processes_are_given_the_same_and_the_kernel_gives_them_to_nobody() -> None:
    ask = "from trunkline.testing.engines.ports import free_ports; import sys"
    line = [sys.executable, "-c", f"{ask}; print(*free_ports(300), flush=True); sys.stdin.read()"]
    with (
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
    ):
        assert one.stdout
        assert other.stdout
        given = [*map(int, one.stdout.readline().split()), *map(int, other.stdout.readline().split()), *free_ports(300)]
        for each in (one, other):
            each.communicate("")
    assert len(set(given)) == len(given) == 900
    assert max(given) < int(EPHEMERAL.read_text().split()[0])


def test_a_port_that_somebody_has_is_not_given() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        assert taken.getsockname()[1] not in free_ports(50)
