"""The last lines of the server's own log, kept in memory."""

from __future__ import annotations

import logging
from collections import deque

LINES = 5000


class RecentLines(logging.Handler):
    """Hears everything that is logged, from `open` to `close`."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._lines.append(self.format(record))

    def lines(self) -> list[str]:
        """The last ones, oldest first."""
        return list(self._lines)

    def open(self) -> None:
        """Begin to hear."""
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        """Hear no more."""
        logging.getLogger().removeHandler(self)
        super().close()
