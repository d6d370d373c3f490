"""The port of this machine on which code reads and writes its datum's buckets, opened when a claim first needs it."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.ambient import Ambient
from trunkline.app.worker_storage import WorkerStorage
from trunkline.worker.ports import Claim, Datum

if TYPE_CHECKING:
    from trunkline.app.inside.shop import DatumShop

_START_S = 30.0


class ServedBuckets:
    """Fills `worker.ports.Buckets`. uploads: a folder that no code sees. Raises OSError where no port can be had.

    Everybody on this machine reaches the port; only who was told the claim's token is let in.
    """

    def __init__(self, storage: WorkerStorage, uploads: Path, ambient: Ambient) -> None:
        self._storage = storage
        self._uploads = uploads
        self._ambient = ambient
        # Had now, since a container is told of the port before its code runs; nobody is let in before `begin`.
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server: _Server | None = None
        self._shop: DatumShop | None = None
        self._out = False

    def begin(self, claim: Claim) -> Mapping[str, str]:
        """The address and the keys, both of them a fresh token; {} where the claim has no buckets."""
        first = claim.datums[0].elements if claim.datums else ()
        self._out = claim.step.s3_out
        self._shop = None
        if not self._out and not any(element.s3 for element in first):
            return {}
        if self._server is None:
            self._server = _Server(self._socket, self._uploads, self._ambient)
        self._shop = self._server.shop
        token = secrets.token_hex(16)
        self._shop.admit(token)
        return {
            "S3_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": token,
            "AWS_SECRET_ACCESS_KEY": token,
        }

    def show(self, datum: Datum) -> None:
        """One bucket for each input that is read so, and `out` if the claim writes so. Raises TrunklineError."""
        if self._shop is None:
            return
        from trunkline.app.inside.shop import InputBucket

        inputs = {
            element.input: InputBucket(self._storage.view_of(element), element.commit, element.modified_us)
            for element in datum.elements
            if element.s3
        }
        self._shop.show(inputs, self._out)

    def take(self) -> Sequence[tuple[str, bytes]]:
        """What was put into `out`."""
        return self._shop.take() if self._shop is not None else ()

    def clear(self) -> None:
        """Forget it."""
        if self._shop is not None:
            self._shop.clear()

    def end(self) -> None:
        """The token is worth nothing from now on."""
        if self._shop is not None:
            self._shop.admit("")
            self._shop = None

    def close(self) -> None:
        """The worker ends."""
        self.end()
        if self._server is not None:
            self._server.close()
        self._socket.close()


class _Server:
    """The HTTP server, in a thread of its own until `close`."""

    def __init__(self, listening: socket.socket, uploads: Path, ambient: Ambient) -> None:
        # Half a second to import, for the workers of few pipelines.
        from trunkline.app.http import HttpServer
        from trunkline.app.inside.shop import DatumShop
        from trunkline.gateway.s3.door import S3

        self.shop = DatumShop(uploads, ambient)
        http = HttpServer(listening, S3(self.shop, ambient.new_id))
        started: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

        async def serve() -> None:
            try:
                await http.start()
            except BaseException as error:
                started.set_exception(error)
                raise
            started.set_result(None)
            await self._stop.wait()
            await http.stop()

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()), name="s3", daemon=True)
        self._thread.start()
        started.result(_START_S)

    def close(self) -> None:
        """Serve nobody any more."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_S)
