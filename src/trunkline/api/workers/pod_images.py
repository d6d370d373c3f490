"""What image a pod runs in, as its cluster tells it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial

from trunkline.api.rpc.bridge import Bridge
from trunkline.catalog.engine import Catalog
from trunkline.catalog.work import containers

LOOK_S = 0.1
LOOKS = 30
"""How often a report looks until it is kept without the image."""
KEPT = 4096
"""Workers that are remembered as waited for in vain; then the first of them is waited for again."""


class PodImages:
    """Images of pods. Their first report may come before the cluster tells; who waits for that holds no thread."""

    def __init__(
        self, catalog: Catalog, bridge: Bridge, pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._catalog, self._bridge, self._pause = catalog, bridge, pause
        self._in_vain: OrderedDict[str, None] = OrderedDict()

    async def of(self, worker: str) -> str:
        """The digest of the image in a pod. "": the cluster has not told, which a worker is waited for only once."""
        look = partial(self._catalog.read, partial(containers.pod_image, worker=worker))
        looks = 0
        while not (found := await self._bridge.unary(look)) and worker not in self._in_vain:
            looks += 1
            if looks > LOOKS:
                self._give_up(worker)
                return ""
            await self._pause(LOOK_S)
        if found:
            self._in_vain.pop(worker, None)
        return found

    def _give_up(self, worker: str) -> None:
        self._in_vain[worker] = None
        if len(self._in_vain) > KEPT:
            self._in_vain.popitem(last=False)
