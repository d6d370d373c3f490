"""Azure's object store: blobs that are put whole or in blocks, deleted in batches, by requests that are signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import unquote
from xml.etree import ElementTree

from trunkline.testing.clouds.serving import LAST_MODIFIED, Answer, Asked, Cloud, tag

ACCOUNT = "trunkline"
KEY = base64.b64encode(b"not a secret").decode()
_SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date"),
    *("if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)
"""The headers that a signature covers, in its order, beside those that begin with x-ms-."""


class AzureCloud(Cloud):
    """A server for az:// URLs of one account, which is the first step of every path, as in Azure's own emulator."""

    def __init__(self, page: int = 5000) -> None:
        super().__init__(page)
        self._blocks: dict[str, dict[str, bytes]] = {}
        self.endpoint = f"{self.endpoint}/{ACCOUNT}"
        self.environment = {"AZURE_STORAGE_ACCOUNT_KEY": KEY}
        """With these variables a request is let in."""

    def answer(self, asked: Asked) -> Answer:
        """See `Cloud.answer`."""
        if asked.headers.get("authorization") != f"SharedKey {ACCOUNT}:{signature(asked)}":
            return Answer(403, b"Server failed to authenticate the request.")
        name = asked.path.removeprefix(f"{ACCOUNT}/")
        container, _, path = name.partition("/")
        if container in self.gone:
            return Answer(404, b'<?xml version="1.0"?><Error><Code>ContainerNotFound</Code></Error>')
        match asked.method, asked.query.get("comp"):
            case "GET", "list":
                return self._list(container, asked)
            case "POST", "batch":
                return self._batch(asked)
            case "PUT", "block":
                self._blocks.setdefault(name, {})[asked.query["blockid"]] = asked.body
                return Answer(201)
            case "PUT", "blocklist":
                wanted = [one.text or "" for one in ElementTree.fromstring(asked.body)]
                blocks = self._blocks.pop(name, {})
                return self._put(asked, name, b"".join(blocks[one] for one in wanted))
            case "PUT", _:
                return self._put(asked, name, asked.body)
            case "DELETE", _:
                return self._delete(name)
            case _:
                return self.read(asked, name) if path else Answer(400)

    def _put(self, asked: Asked, name: str, data: bytes) -> Answer:
        if asked.headers.get("if-none-match") == "*" and name in self.objects:
            return Answer(409)
        self.objects[name] = data
        return Answer(201, headers={"ETag": tag(data), "Last-Modified": LAST_MODIFIED})

    def _delete(self, name: str) -> Answer:
        return Answer(404 if self.objects.pop(name, None) is None else 202)

    def _batch(self, asked: Asked) -> Answer:
        """Each part is a request of its own, and is answered by a part."""
        boundary = asked.headers["content-type"].partition("boundary=")[2]
        lines: list[str] = []
        for number, part in enumerate(asked.body.decode().split(f"--{boundary}")[1:-1]):
            method, target, _ = next(line for line in part.split("\r\n") if " HTTP/1.1" in line).split(" ")
            assert method == "DELETE", method
            status = self._delete(unquote(target).lstrip("/").removeprefix(f"{ACCOUNT}/")).status
            words = "Accepted" if status == 202 else "The specified blob does not exist."
            lines += [f"--{boundary}", "Content-Type: application/http", f"Content-ID: {number}", ""]
            lines += [f"HTTP/1.1 {status} {words}", *_missing(status), "", ""]
        body = "\r\n".join([*lines, f"--{boundary}--", ""]).encode()
        return Answer(202, body, {"Content-Type": f"multipart/mixed; boundary={boundary}"})

    def _list(self, container: str, asked: Asked) -> Answer:
        names, following = self.listed(container, asked.query, asked.query.get("marker", ""))
        top = ElementTree.Element("EnumerationResults", ContainerName=container)
        blobs = ElementTree.SubElement(top, "Blobs")
        for name in names:
            data = self.objects.get(f"{container}/{name}")
            child = ElementTree.SubElement(blobs, "BlobPrefix" if data is None else "Blob")
            ElementTree.SubElement(child, "Name").text = name
            if data is not None:
                said = ElementTree.SubElement(child, "Properties")
                fields = {"Last-Modified": LAST_MODIFIED, "Etag": tag(data), "Content-Length": str(len(data))}
                for key, value in {**fields, "Content-Type": "application/octet-stream"}.items():
                    ElementTree.SubElement(said, key).text = value
        ElementTree.SubElement(top, "NextMarker").text = following
        return Answer(200, ElementTree.tostring(top))


def _missing(status: int) -> list[str]:
    return ["x-ms-error-code: BlobNotFound"] if status == 404 else []


def signature(asked: Asked) -> str:
    """What only who has the key can write beside a request."""
    signed = {**asked.headers}
    if signed.get("content-length") == "0":
        signed["content-length"] = ""
    own = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed) if name.startswith("x-ms-"))
    query = "".join(f"\n{name}:{asked.query[name]}" for name in sorted(asked.query))
    text = "\n".join(signed.get(name, "") for name in _SIGNED)
    whole = f"{asked.method}\n{text}\n{own}/{ACCOUNT}{asked.target}{query}"
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), whole.encode(), hashlib.sha256)).decode()
