"""Google's object store: the XML interface, with conditions on generations and uploads in parts."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from trunkline.testing.clouds.serving import LAST_MODIFIED, Answer, Asked, Cloud, tag


class GoogleCloud(Cloud):
    """A server for gs:// URLs. token: what requests must bear; none is asked for where it is empty."""

    def __init__(self, page: int = 1000, token: str = "") -> None:
        super().__init__(page)
        self._token = token
        self._uploads: dict[str, dict[int, bytes]] = {}

    def answer(self, asked: Asked) -> Answer:
        """See `Cloud.answer`."""
        if self._token and asked.headers.get("authorization") != f"Bearer {self._token}":
            return Answer(401, b"Invalid Credentials")
        bucket, _, path = asked.path.partition("/")
        if bucket in self.gone:
            return Answer(404, b'<?xml version="1.0"?><Error><Code>NoSuchBucket</Code></Error>')
        if not path:
            return self._list(bucket, asked)
        if "uploads" in asked.query or "uploadId" in asked.query:
            return self._in_parts(asked)
        match asked.method:
            case "GET" | "HEAD":
                return self.read(asked, asked.path)
            case "PUT":
                return self._put(asked, asked.path, asked.body)
            case _:
                return Answer(404 if self.objects.pop(asked.path, None) is None else 204)

    def _put(self, asked: Asked, name: str, data: bytes) -> Answer:
        if asked.headers.get("x-goog-if-generation-match") == "0" and name in self.objects:
            return Answer(412)
        self.objects[name] = data
        return Answer(200, headers={"ETag": tag(data), "x-goog-generation": "1"})

    def _in_parts(self, asked: Asked) -> Answer:
        upload = asked.query.get("uploadId", "")
        match asked.method:
            case "POST" if not upload:
                upload = f"upload-{len(self._uploads)}"
                self._uploads[upload] = {}
                return Answer(200, _xml("InitiateMultipartUploadResult", {"UploadId": upload}))
            case "PUT":
                self._uploads[upload][int(asked.query["partNumber"])] = asked.body
                return Answer(200, headers={"ETag": tag(asked.body)})
            case "POST":
                parts = self._uploads.pop(upload)
                wanted = [int(one.text or "") for one in ElementTree.fromstring(asked.body).iter() if _is_number(one)]
                whole = b"".join(parts[number] for number in wanted)
                said = self._put(asked, asked.path, whole)
                return Answer(said.status, _xml("CompleteMultipartUploadResult", {"ETag": tag(whole)}), said.headers)
            case _:
                self._uploads.pop(upload, None)
                return Answer(204)

    def _list(self, bucket: str, asked: Asked) -> Answer:
        names, following = self.listed(bucket, asked.query, asked.query.get("continuation-token", ""))
        found: list[tuple[str, dict[str, str]]] = []
        for name in names:
            data = self.objects.get(f"{bucket}/{name}")
            if data is None:
                found.append(("CommonPrefixes", {"Prefix": name}))
            else:
                size = str(len(data))
                said = {"Key": name, "Size": size, "LastModified": "1994-11-06T08:49:37Z", "ETag": tag(data)}
                found.append(("Contents", said))
        top = {"NextContinuationToken": following} if following else {}
        return Answer(200, _xml("ListBucketResult", top, found), {"Last-Modified": LAST_MODIFIED})


def _is_number(element: ElementTree.Element) -> bool:
    return element.tag.rpartition("}")[2] == "PartNumber"


def _xml(name: str, fields: dict[str, str], children: Iterable[tuple[str, dict[str, str]]] = ()) -> bytes:
    top = ElementTree.Element(name)
    for key, value in fields.items():
        ElementTree.SubElement(top, key).text = value
    for kind, inner in children:
        child = ElementTree.SubElement(top, kind)
        for key, value in inner.items():
            ElementTree.SubElement(child, key).text = value
    return ElementTree.tostring(top)
