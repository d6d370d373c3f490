"""Small texts that people hand over: from a file, a URL or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from trunkline.errors import InvalidArgument, NotFound

STDIN = "-"
LIMIT_BYTES = 16 * 1024 * 1024
_FETCH_TIMEOUT_S = 30


def read_text(source: str) -> str:
    """What `source` holds: a path, an http(s) URL, or `-`. Raises NotFound, or InvalidArgument for what is no text."""
    try:
        if source == STDIN:
            data = sys.stdin.buffer.read()
        elif source.startswith(("http://", "https://")):
            data = _fetch(source)
        else:
            data = Path(source).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise NotFound(f"cannot read {source}: {why}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        name = "standard input" if source == STDIN else source
        raise InvalidArgument(f"{name} is no text in UTF-8 (byte {error.start})") from error


def _fetch(url: str) -> bytes:
    from urllib.request import urlopen

    with urlopen(url, timeout=_FETCH_TIMEOUT_S) as answer:
        data: bytes = answer.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise InvalidArgument(f"{url} holds more than {LIMIT_BYTES // 1024 // 1024} MiB")
    return data
