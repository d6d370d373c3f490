"""`pachd`: open the data folder, build the rooms, serve until told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from trunkline.ambient import Ambient, RealAmbient
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.doors import Rooms
from trunkline.app.config import Config, parse, shown
from trunkline.app.front import Front
from trunkline.app.grpc import GrpcServer
from trunkline.app.http import HttpServer, tcp_socket, unix_socket
from trunkline.app.memory import few_arenas, give_back, kept_buffers
from trunkline.app.pool import choose_rung
from trunkline.app.tls.trusted import trust
from trunkline.errors import InvalidArgument, TrunklineError, Unavailable
from trunkline.gateway.application import application, beside
from trunkline.gateway.s3.door import S3

if TYPE_CHECKING:
    from trunkline.app.engine import Engine
    from trunkline.app.tls.certificate import Certificate
    from trunkline.worker.rungs import Rung

FAILED = 1
MISUSED = 2

GRACE_S = 1.5
"""How long calls that run may still take when the server is told to stop."""

DEEPEST_BYTES = 90
"""The path of a unix socket may have no more than 107 bytes."""

LAST_S = 4.5
"""The process is gone after this, whatever is still going on: everything acknowledged is on disk at any time."""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. 0: stopped when told to; 1: could not start; 2: told nonsense."""
    try:
        config = parse(sys.argv[1:] if arguments is None else arguments, os.environ if environ is None else environ)
    except InvalidArgument as error:
        return _say(error, MISUSED)
    logging.basicConfig(level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel("WARNING")
    few_arenas()
    kept_buffers()
    trust(os.environ)
    ambient = RealAmbient()
    try:
        certificate = _certificate(config, ambient)
    except TrunklineError as error:
        return _say(error, FAILED)
    # What is made until the server serves stays: looking through it again and again for garbage would cost a tenth.
    gc.disable()
    # Finding out how user code can run starts a process; meanwhile there is enough to import.
    probing = ThreadPoolExecutor(1).submit(choose_rung, config)
    try:
        engine = _engine(config, ambient, probing)
    except (TrunklineError, OSError) as error:
        return _say(error, FAILED)
    try:
        address = uvloop.run(_serve(config, engine, ambient, certificate))
    except (TrunklineError, OSError) as error:
        return _say(error, FAILED)
    finally:
        engine.close()
    if engine.restored:
        _start_anew(address)
    return 0


def _engine(config: Config, ambient: Ambient, probing: Future[Rung | None]) -> Engine:
    from trunkline.app.engine import open_engine

    return open_engine(config, ambient, probing.result)


def _certificate(config: Config, ambient: Ambient) -> Certificate | None:
    if config.tls is None:
        return None
    from trunkline.app.tls.certificate import Certificate

    return Certificate(*config.tls, ambient)


def _start_anew(address: str) -> None:
    """Become a fresh process of the same number and address: nothing of what runs now knows what was restored."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.execv(sys.executable, [*sys.orig_argv, "--listen", address])


def _say(error: Exception, code: int) -> int:
    print(f"pachd: {error}", file=sys.stderr)
    return code


async def _serve(config: Config, engine: Engine, ambient: Ambient, certificate: Certificate | None) -> str:
    """Serve until the end. Answers the address."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        engine.restored = False  # whoever starts it next finds what was restored
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    engine.on_restored = lambda: loop.call_soon_threadsafe(stop.set)
    server = Server(config, engine, ambient, certificate)
    try:
        host, port = await server.start()
        address = shown(host, port)
        if server.s3_address:
            print(f"pachd is serving S3 on {server.s3_address}")
        if certificate is not None:
            print(f"pachd speaks TLS there, as {', '.join(certificate.names)}; workers reach it on {server.inside}")
        print(f"pachd is serving on {address}", flush=True)
        gc.freeze()
        gc.enable()
        await stop.wait()
        # A thread deep in the engine must not keep the process: what it does is safe to interrupt anywhere.
        signal.signal(signal.SIGALRM, lambda *_: _start_anew(address) if engine.restored else os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, LAST_S)
    finally:
        await server.stop()
    return address


class Server:
    """The doors and the front, over an engine that somebody else opens and closes."""

    def __init__(
        self, config: Config, engine: Engine, ambient: Ambient, certificate: Certificate | None = None
    ) -> None:
        self._config = config
        self._engine = engine
        self._ambient = ambient
        self._certificate = certificate
        self._fronts: list[Front] = []
        self._s3: HttpServer | None = None
        self.s3_address = ""
        """Where S3 is served by itself, once it is; "": nowhere."""
        self.inside = ""
        """Where workers reach this server, once they do, in plaintext."""
        self._bridge = Bridge(after_much=give_back)
        self._rooms = Rooms(self._bridge, ambient, engine.recorder)
        self._folder = socket_folder(config.data)
        self._closing: list[Callable[[], object]] = []

    async def start(self) -> tuple[str, int]:
        """Serve; the address as it came out. Raises Unavailable where it is taken."""
        grpc_socket, http_socket = self._folder / "grpc", self._folder / "http"
        self._grpc = GrpcServer(grpc_socket, self._engine.doors(asyncio.get_running_loop(), self._bridge), self._rooms)
        s3 = S3(self._engine.shop, self._ambient.new_id)
        self._http = HttpServer(
            unix_socket(http_socket), beside(application(self._engine.space, self._engine.links), s3)
        )
        await self._grpc.start()
        await self._http.start()
        await self._open_s3(s3)
        self._engine.handed.open(self._folder / "files")
        certificate = self._certificate
        peer = await self._open(self._config.peer, "--peer") if self._config.peer is not None else None
        address = await self._open((self._config.host, self._config.port), "--listen", certificate)
        self.inside = shown(*(peer or address))
        self._engine.start(address, peer, certificate.names if certificate is not None else None)
        return address

    async def _open(
        self, wanted: tuple[str, int], flag: str, certificate: Certificate | None = None
    ) -> tuple[str, int]:
        """One more address for gRPC and HTTP."""
        front = Front(self._folder / "grpc", self._folder / "http", certificate)
        try:
            found = await front.open(*wanted)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise Unavailable(
                f"cannot listen on {shown(*wanted)} ({why}); stop what listens there, or choose another with {flag}"
            ) from error
        self._fronts.append(front)
        return found

    async def _open_s3(self, s3: S3) -> None:
        """S3 on an address of its own, where one is wanted."""
        if self._config.s3 is None:
            return
        host, port = self._config.s3
        try:
            if self._certificate is not None:
                behind = self._folder / "s3"
                listening = unix_socket(behind)
                front = Front(behind, behind, self._certificate)
                _, port = await front.open(host, port)
                self._fronts.append(front)
            else:
                listening = tcp_socket(host, port)
                listening.listen()  # two may be bound to one port, and one can listen
                port = listening.getsockname()[1]
        except OSError as error:
            raise Unavailable(
                f"cannot listen on {host}:{port} for S3 ({os.strerror(error.errno or 0)}); stop what listens there, "
                "choose another with --s3 HOST:PORT, or do without with --s3 none"
            ) from error
        self.s3_address = shown(host, port)
        self._s3 = HttpServer(listening, s3)
        await self._s3.start()

    async def stop(self) -> None:
        """No new connections; calls that run may end within the grace, then everything is closed."""
        for front in self._fronts:
            front.stop_accepting()
        # While workers end, calls are still answered: they report what they have finished.
        await asyncio.to_thread(self._engine.stop)
        s3 = [self._s3.stop()] if self._s3 is not None else []
        await asyncio.gather(self._grpc.stop(GRACE_S), self._http.stop(), *s3)
        for front in self._fronts:
            front.close()
        self._engine.handed.close()
        self._bridge.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def socket_folder(data: Path) -> Path:
    """A fresh folder that only this user reaches, for the sockets behind the front.

    In the data folder, so that what a killed server left is found and removed; elsewhere only if that lies too deep.
    """
    folder = data / "run"
    if len(os.fsencode(folder)) > DEEPEST_BYTES:
        return Path(tempfile.mkdtemp(prefix="trunkline-"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder
