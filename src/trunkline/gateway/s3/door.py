"""The S3 application: who asks is found out, the operation is chosen, what goes wrong becomes a document."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from trunkline.errors import TrunklineError
from trunkline.gateway.s3 import buckets, multipart, reading, signing, writing
from trunkline.gateway.s3.documents import document
from trunkline.gateway.s3.faults import Fault, fault_of
from trunkline.gateway.s3.ports import Shop
from trunkline.gateway.s3.requests import S3Request, Work, asked_of, place_of

_log = logging.getLogger("trunkline.s3")

LEFT_BYTES = 16 << 20
"""So much of a body that nobody wants is read; with more, the connection is closed."""

Operation = Callable[[S3Request], Awaitable[Response]]

BUCKET: Mapping[tuple[str, str], Operation] = {
    ("GET", ""): buckets.list_objects,
    ("GET", "location"): buckets.location,
    ("GET", "versioning"): buckets.versioning,
    ("GET", "uploads"): multipart.list_uploads,
    ("HEAD", ""): buckets.head_bucket,
    ("PUT", ""): buckets.create_bucket,
    ("PUT", "versioning"): buckets.set_versioning,
    ("DELETE", ""): buckets.delete_bucket,
    ("POST", "delete"): writing.delete_objects,
}
"""What is done with a bucket, by method and the part of the query that names an operation."""

OBJECT: Mapping[tuple[str, str], Operation] = {
    ("GET", ""): reading.get_object,
    ("GET", "uploadId"): multipart.list_parts,
    ("HEAD", ""): reading.get_object,
    ("PUT", ""): writing.put_object,
    ("PUT", "copy"): writing.copy_object,
    ("PUT", "uploadId"): multipart.put_part,
    ("PUT", "uploadId copy"): multipart.copy_part,
    ("POST", "uploads"): multipart.begin,
    ("POST", "uploadId"): multipart.complete,
    ("DELETE", ""): writing.delete_object,
    ("DELETE", "uploadId"): multipart.abort,
}
"""What is done with an object."""

_NAMING = frozenset(
    [
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versioning",
        "versions",
        "website",
    ]
)
"""Parts of a query that name an operation."""


class S3:
    """An ASGI application. shop: the buckets; fresh_id: names requests."""

    def __init__(self, shop: Shop, fresh_id: Callable[[], str]) -> None:
        self._shop = shop
        self._fresh_id = fresh_id
        self._work = Work()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = _Watched(receive)
        request = Request(scope, body)
        named = self._fresh_id()
        try:
            response = await self._answer(request)
        except Fault as fault:
            response = _refused(request, fault, named)
        except TrunklineError as error:
            response = _refused(request, fault_of(error), named)
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("a request for %s failed", request.url.path)
            response = _refused(request, Fault("InternalError", "this is a fault of ours; the log has more"), named)
        response.headers["x-amz-request-id"] = named
        if not await body.read(request):
            response.headers["connection"] = "close"
        await response(scope, receive, send)

    async def _answer(self, http: Request) -> Response:
        asked = asked_of(http)
        shop = self._shop
        if signing.is_signed(asked):
            now_us = shop.now_us()
            signed = await self._work.do(lambda: signing.check(asked, shop.secret, now_us))
        elif shop.anonymous and "origin" in asked.headers and asked.method not in ("GET", "HEAD"):
            # Whatever page somebody looks at could have the browser on this machine send it.
            raise Fault("AccessDenied", "a web page's request has to be signed where it changes anything")
        elif shop.anonymous:
            signed = signing.Signed("")
        else:
            raise Fault("AccessDenied", "who asks is not said: sign the request with the keys that were given")
        bucket, key = place_of(asked.path)
        query = dict(asked.pairs)
        request = S3Request(http, asked, signed, shop, self._work, bucket, key, query)
        return await _operation(request)(request)


class _Watched:
    """Where a body comes from, and whether it came to its end: what is left of one would be taken for a request."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._begun = self._over = False

    async def __call__(self) -> Message:
        """More of it."""
        self._begun = True
        message = await self._receive()
        self._over = self._over or not message.get("more_body", False)
        return message

    async def read(self, request: Request) -> bool:
        """Read what is left, if it is little; whether all was read.

        A client that waits to be asked for its body is not asked any more. Others read no answer before they have sent
        theirs.
        """
        if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
            return True
        if not self._begun and request.headers.get("expect", "").lower() == "100-continue":
            return False
        left = LEFT_BYTES
        while not self._over and left > 0:
            left -= len((await self()).get("body", b""))
        return self._over


def _operation(request: S3Request) -> Operation:
    """What is asked for. Raises Fault NotImplemented, MethodNotAllowed."""
    method = request.asked.method
    if not request.bucket:
        if method in ("GET", "HEAD"):
            return buckets.list_buckets
        raise Fault("MethodNotAllowed", f"{method} means nothing without a bucket")
    named = sorted(_NAMING & request.query.keys())
    what = named[0] if named else ""
    if method == "PUT" and "x-amz-copy-source" in request.headers:
        what = f"{what} copy".strip()
    table = OBJECT if request.key else BUCKET
    found = table.get((method, what))
    if found is not None:
        return found
    if what or (method == "POST" and not request.key):
        raise Fault("NotImplemented", f"{method} of {what or 'forms'} is not something that commits and files have")
    raise Fault("MethodNotAllowed", f"{method} means nothing here")


def _refused(request: Request, fault: Fault, named: str) -> Response:
    fields = {"Code": fault.code, "Message": str(fault), "Resource": request.url.path, "RequestId": named}
    body = b"" if request.method == "HEAD" else document("Error", fields, space="")
    headers = {"x-amz-error-code": fault.code} if request.method == "HEAD" else {}
    return Response(body, fault.status, headers, "application/xml")
