"""The rows: each does its work beside a plain tool's, turn about, so that both see the same machine.

They stand in the order in which they are measured when nothing else is asked for: those that matter most come first.
"""

from __future__ import annotations

from measure import Row
from rows import (
    chains,
    containers,
    datums,
    files,
    history,
    inputs,
    places,
    pods,
    restart,
    simulated,
    space,
    start,
    stream,
    trees,
    unchanged,
)

ROWS: tuple[Row, ...] = (
    *start.ROWS,
    *files.ROWS,
    *datums.ROWS,
    *places.ROWS,
    *containers.ROWS,
    *pods.ROWS,
    *chains.ROWS,
    *simulated.ROWS,
    *unchanged.ROWS,
    *history.ROWS[:-1],
    *space.ROWS,
    *trees.ROWS,
    *inputs.ROWS,
    *restart.ROWS,
    *stream.ROWS,
    *history.ROWS[-1:],  # the longest
)
