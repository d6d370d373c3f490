"""An S3 server of one's own: SeaweedFS on free ports, with its data in a folder, ended for certain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType

from trunkline.ambient import Ambient, RealAmbient
from trunkline.errors import NotFound, Unavailable
from trunkline.storage.objects import open_place, write
from trunkline.testing.engines.ports import free_ports

START_S = 60
LOOK_EVERY_S = 0.2
ACCESS_KEY, SECRET_KEY = "trunkline", "not-a-secret"
_NAMES = ("master", "volume", "filer", "s3")
_ALSO = 10_000
"""Each port's number and this is taken too, for gRPC."""


class Seaweed:
    """A running server, as a context. weed: the program. host: an address of this machine.

    tls: a certificate and its key, with which it serves at `secure_endpoint` too.
    """

    def __init__(self, weed: str, folder: Path, host: str = "127.0.0.1", tls: tuple[Path, Path] | None = None) -> None:
        self._weed = weed
        self._tls = tls
        self.secure_endpoint = ""
        self._folder = folder
        self._host = host
        self._ambient: Ambient = RealAmbient()
        self._process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        """With these variables every s3:// URL leads here."""

    def __enter__(self) -> Seaweed:
        self._folder.mkdir(parents=True, exist_ok=True)
        *ports, secure = free_ports(len(_NAMES) + 1, self._host, beside=_ALSO)
        identities = {
            "identities": [
                {
                    "name": ACCESS_KEY,
                    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                }
            ]
        }
        config = self._folder / "identities.json"
        config.write_text(json.dumps(identities))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(self._weed, "server", f"-dir={self._folder}", f"-ip={self._host}", f"-ip.bind={self._host}"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # ports that a second server here would miss
                    *("-filer", "-s3", f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=100"),
                    *(f"-{name}.port={port}" for name, port in zip(_NAMES, ports, strict=True)),
                    *self._in_tls(secure),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.endpoint = f"http://{self._host}:{ports[-1]}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": self.endpoint,
        }
        self._wait()
        return self

    def _in_tls(self, port: int) -> list[str]:
        if self._tls is None:
            return []
        self.secure_endpoint = f"https://{self._host}:{port}"
        certificate, key = self._tls
        return [f"-s3.port.https={port}", f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]

    def _wait(self) -> None:
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            end_s = self._ambient.ticks_s() + START_S
            while self._ambient.ticks_s() < end_s and self._process is not None and self._process.poll() is None:
                try:
                    write(open_place("s3://started/x"), lambda: b"x", _NoWaiting())
                    return
                except (Unavailable, NotFound):
                    self._ambient.sleep(LOOK_EVERY_S)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        ended = self._process.poll() if self._process is not None else None
        self._end()
        why = f"did not serve within {START_S} s" if ended is None else f"ended with {ended}"
        raise Unavailable(f"SeaweedFS {why}: {(self._folder / 'log').read_text()[-1000:]}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class _NoWaiting(RealAmbient):
    def sleep(self, seconds: float) -> None:
        """Whoever asks does so again soon."""
