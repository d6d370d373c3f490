"""Messages kept or dropped by a program in the language of jq."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import IO

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from trunkline.api.filters.evaluate import CPU_S, MEMORY_BYTES
from trunkline.errors import InvalidArgument, ResourceExhausted, Unimplemented

MAX_BYTES = 64 << 10
MOST = 32
_WALL_S = 60
_COMMAND = [sys.executable, "-P", "-m", "trunkline.api.filters.evaluate"]
_PLACES = threading.BoundedSemaphore(MOST)


@contextmanager
def wanted_by(program: str) -> Iterator[Callable[[Message], bool]]:
    """What says of a message whether `program` wants it: it gives something else than null or false. "": wants all.

    The message is seen as `pachctl --raw` prints it. The program runs in a process of its own, within limits.
    Raises InvalidArgument for a program that is none or fails, ResourceExhausted past a limit, Unimplemented where
    jq is not installed.
    """
    if not program:
        yield lambda _message: True
        return
    if find_spec("jq") is None:
        raise Unimplemented("jq filters need the package jq, which this server's Python does not have; install it")
    if len(program.encode()) > MAX_BYTES:
        raise InvalidArgument(f"the jq filter is larger than {MAX_BYTES >> 10} KiB")
    if not _PLACES.acquire(blocking=False):
        raise ResourceExhausted(f"{MOST} lists are being filtered by jq already; try again when one has ended")
    try:
        with subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            try:
                _asked(process, json.dumps(program))
                yield lambda message: _asked(process, _shown(message))
            finally:
                process.kill()
    finally:
        _PLACES.release()


def _shown(message: Message) -> str:
    return MessageToJson(message, preserving_proto_field_name=True, indent=None)


def _asked(process: subprocess.Popen[bytes], line: str) -> bool:
    """What the process answers to a line."""
    answer = b""
    if process.stdin and process.stdout:
        with suppress(BrokenPipeError):
            process.stdin.write(line.encode() + b"\n")
            answer = _line(process.stdout)
    if not answer:
        raise ResourceExhausted(
            f"the jq filter does not end within {CPU_S} s and {MEMORY_BYTES >> 20} MiB; make it do less"
        )
    if answer.startswith(b"!"):
        raise InvalidArgument(f"the jq filter cannot be applied: {answer[1:].decode(errors='replace').strip()}")
    return answer.strip() == b"yes"


def _line(stdout: IO[bytes]) -> bytes:
    found = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while not found.endswith(b"\n"):
            if not selector.select(_WALL_S) or not (some := stdout.read(65536)):
                return b""
            found += some
    return found
