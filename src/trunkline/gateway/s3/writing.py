"""Objects written, copied and removed."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response

from trunkline.gateway.s3.documents import moment, parsed, text_of
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Written
from trunkline.gateway.s3.reading import conditions, need_object
from trunkline.gateway.s3.requests import S3Request, source_of, xml

MOST_REMOVED = 1000


async def put_object(request: S3Request) -> Response:
    """PutObject. Folders are there while something is in them: the empty object that stands for one leaves nothing."""
    if request.headers.get("if-match") is not None:
        raise Fault("NotImplemented", "If-Match is not understood where an object is written; If-None-Match: * is")
    fresh = request.headers.get("if-none-match")
    if fresh not in (None, "*"):
        raise Fault("NotImplemented", "If-None-Match can only be * where an object is written")

    def work() -> Written | None:
        body = request.body()
        if is_folder(request):
            first = next(body, b"")
            if not first:
                request.shop.need(request.bucket)
                return None
            body = _again(first, body)
        return request.shop.put(request.bucket, request.key, body, fresh is not None)

    written = await request.work.do(work)
    return Response(headers=_headers(written) if written is not None else {"etag": '""'})


def is_folder(request: S3Request) -> bool:
    """Whether the key was sent with a slash at its end."""
    return request.asked.path.endswith((b"/", b"%2F", b"%2f"))


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _headers(written: Written) -> dict[str, str]:
    headers = {"etag": f'"{written.etag}"'}
    return headers | ({"x-amz-version-id": written.version} if written.version else {})


async def copy_object(request: S3Request) -> Response:
    """CopyObject, by reference: no byte moves."""
    await request.document()
    bucket, key, version = source_of(request)

    def work() -> Written:
        if any(name.startswith("x-amz-copy-source-if-") for name in request.headers):
            found = need_object(request.shop.open(bucket, version), bucket, key)
            if conditions(request.headers, found, "x-amz-copy-source-if-") == 304:
                raise Fault("PreconditionFailed", f"{key} is not to be copied: a condition of the request forbids it")
        return request.shop.copy(request.bucket, request.key, bucket, key, version)

    written = await request.work.do(work)
    fields = {"ETag": f'"{written.etag}"', "LastModified": moment(written.modified_us)}
    headers = _headers(written)
    del headers["etag"]
    return xml("CopyObjectResult", fields, headers=headers)


async def delete_object(request: S3Request) -> Response:
    """DeleteObject; one that is not there is gone already."""
    if "versionId" in request.query:
        raise Fault("NotImplemented", "a version is a commit, and no single object can be taken out of it")
    await request.work.do(lambda: request.shop.remove(request.bucket, [request.key]))
    return Response(status_code=204)


async def delete_objects(request: S3Request) -> Response:
    """DeleteObjects: all of them in one commit."""
    root = parsed(await request.document(), "Delete")
    keys: list[str] = []
    errors: list[dict[str, str]] = []
    for one in root.findall("Object"):
        key = text_of(one, "Key")
        if text_of(one, "VersionId"):
            why = "a version is a commit, and no single object can be taken out of it"
            errors.append({"Key": key, "Code": "NotImplemented", "Message": why})
        else:
            keys.append(key)
    if (not keys and not errors) or len(keys) > MOST_REMOVED:
        raise Fault("MalformedXML", f"1 to {MOST_REMOVED} keys can be removed at once")
    await request.work.do(lambda: request.shop.remove(request.bucket, [key.strip("/") for key in keys]))
    quiet = text_of(root, "Quiet") == "true"
    deleted = [] if quiet else [{"Key": key} for key in keys]
    return xml("DeleteResult", {"Deleted": deleted, "Error": errors})
