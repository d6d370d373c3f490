"""Secrets that code prints: what goes into logs and reasons shows stars in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from trunkline.worker.ports import Step

STARS = "***"
LEAST = 6
"""Values with fewer characters are left alone: they would be found in words that have nothing to do with them."""
LEAST_OF_MANY = 8
"""The same for each line of a value that has several."""


def mask_of(step: Step) -> Callable[[str], str]:
    """What puts stars in place of the step's secrets in a line. Values that are no text are left alone."""
    values = [*step.secret_env.values(), *(data for folder in step.secrets for _, data in folder.files)]
    words = sorted({word for value in values for word in _words(value)}, key=len, reverse=True)
    if not words:
        return _as_it_is
    pattern = re.compile("|".join(map(re.escape, words)))
    return lambda line: pattern.sub(STARS, line)


def _words(value: bytes) -> Iterator[str]:
    try:
        lines = [line.strip() for line in value.decode().splitlines() if line.strip()]
    except UnicodeDecodeError:
        return
    least = LEAST if len(lines) == 1 else LEAST_OF_MANY
    yield from (line for line in lines if len(line) >= least)


def _as_it_is(line: str) -> str:
    return line
