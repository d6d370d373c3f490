"""Commits that are being finished, waited for by coroutines: however many callers wait, they hold no thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.events import Events
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx, thing
from trunkline.model.infos import CommitState
from trunkline.model.names import Repo
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import COMMIT_TOPIC
from trunkline.pfs.reads import Source

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settling:
    """What doors wait with before they do in a thread what needs finished commits."""

    files: Files
    bridge: Bridge
    events: Events

    async def opened(self, repo: Repo, ref: str) -> Source:
        """A commit's content, once it is not being finished any more. Raises as `reads.open_source`."""
        return await self.tried(partial(reads.open_source, self.files, repo, ref))

    async def found(self, look: Callable[[Tx], T | None]) -> T:
        """What `look` finds, which finds nothing while a commit is being finished that it needs."""
        return await self.tried(partial(self.files.catalog.read, look))

    async def tried(self, work: Callable[[], T | None]) -> T:
        """What `work` makes in a thread, which makes nothing while a commit is being finished that it needs."""
        while True:
            seq = self.events.seq
            found = await self.bridge.unary(work)
            if found is not None:
                return found
            await self.events.after(seq, COMMIT_TOPIC)

    async def until(self, look: Callable[[Tx], CommitRow | None], longest_s: float | None = None) -> CommitRow | None:
        """What `look` finds, once that is no commit that is being finished, or when that has taken too long.

        A commit above an open one is not finished before that, so that whoever can be refused waits not for ever.
        """
        row: CommitRow | None = None
        limit = asyncio.timeout(longest_s)
        try:
            async with limit:
                while True:
                    seq = self.events.seq
                    row = await self.bridge.unary(partial(self.files.catalog.read, look))
                    if row is None or row.state is not CommitState.FINISHING:
                        return row
                    await self.events.after(seq, thing(COMMIT_TOPIC, row.seq))
        except TimeoutError:
            if not limit.expired():
                raise
        return row
