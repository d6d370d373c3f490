"""Images for another kind of machine, in a registry that has nothing else and forgets them with its end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

Held = dict[str, tuple[str, bytes]]
"""What a registry answers: by digest or tag, its media type and its bytes."""


def image_for(machine: str, layer: bytes) -> Held:
    """An image of one layer, for such a machine: tag `one` is its manifest, tag `many` a list that has no other."""
    held: Held = {}

    def keep(kind: str, data: bytes, *tags: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        held.update(dict.fromkeys((digest, *tags), (kind, data)))
        return {"mediaType": kind, "size": len(data), "digest": digest}

    layers = [keep(_LAYER, layer)]
    told = {"architecture": machine, "os": "linux", "config": {"Env": ["PATH=/bin"]}}
    told["rootfs"] = {"type": "layers", "diff_ids": [layers[0]["digest"]]}
    config = keep(_CONFIG, json.dumps(told).encode())
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
    one = keep(_MANIFEST, json.dumps(manifest).encode(), "one")
    several = [{**one, "platform": {"architecture": machine, "os": "linux"}}]
    keep(_INDEX, json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": several}).encode(), "many")
    return held


@contextlib.contextmanager
def registry_of(held: Held, host: str, port: int) -> Iterator[None]:
    """A registry that only gives."""

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.wfile.write(self.answer())

        def answer(self) -> bytes:
            kind, data = held.get(self.path.partition("?")[0].rpartition("/")[2], ("", b""))
            self.send_response(200 if kind or self.path == "/v2/" else 404)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(data).hexdigest()}")
            self.end_headers()
            return data

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer((host, port), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
