"""Objects that come in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from starlette.responses import Response

from trunkline.gateway.s3.buckets import MOST_KEYS
from trunkline.gateway.s3.documents import moment, parsed, text_of, url_encoded
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Part, Written
from trunkline.gateway.s3.reading import need_object, ranged
from trunkline.gateway.s3.requests import S3Request, source_of, xml

MOST_PARTS = 10_000
LEAST_BYTES = 5 << 20
"""What every part but the last has at least."""

ETAG_LETTERS = 64
"""An ETag of ours has so many; others are a client's own, and are not compared."""


async def begin(request: S3Request) -> Response:
    """CreateMultipartUpload."""
    await request.document()
    upload = await request.work.do(lambda: request.shop.parts.begin(request.bucket, request.key))
    return xml("InitiateMultipartUploadResult", {"Bucket": request.bucket, "Key": request.key, "UploadId": upload})


def _number(request: S3Request) -> int:
    number = request.number("partNumber", 0, MOST_PARTS + 1)
    if not 1 <= number <= MOST_PARTS:
        raise Fault("InvalidArgument", f"partNumber must be 1 to {MOST_PARTS}")
    return number


async def put_part(request: S3Request) -> Response:
    """UploadPart."""
    number = _number(request)
    parts, upload = request.shop.parts, request.query["uploadId"]
    written = await request.work.do(lambda: parts.put_part(request.bucket, request.key, upload, number, request.body()))
    return Response(headers={"etag": f'"{written.etag}"'})


async def copy_part(request: S3Request) -> Response:
    """UploadPartCopy."""
    number = _number(request)
    parts, upload = request.shop.parts, request.query["uploadId"]
    await request.document()
    bucket, key, version = source_of(request)

    def work() -> Written:
        shelf = request.shop.open(bucket, version)
        found = need_object(shelf, bucket, key)
        wanted = request.headers.get("x-amz-copy-source-range")
        start, end = ranged(wanted, found.size_bytes) if wanted else (0, found.size_bytes)
        data = map(bytes, shelf.read(found.key, start, end - start))
        return parts.put_part(request.bucket, request.key, upload, number, data)

    written = await request.work.do(work)
    fields = {"ETag": f'"{written.etag}"', "LastModified": moment(written.modified_us)}
    return xml("CopyPartResult", fields)


async def list_parts(request: S3Request) -> Response:
    """ListParts."""
    parts, upload = request.shop.parts, request.query["uploadId"]
    limit = request.number("max-parts", MOST_KEYS, MOST_KEYS)
    after = request.number("part-number-marker", 0, MOST_PARTS)
    found = await request.work.do(lambda: parts.list_parts(request.bucket, request.key, upload))
    left = [one for one in found if one.number > after]
    shown = left[:limit]
    fields: dict[str, object] = {
        "Bucket": request.bucket,
        "Key": request.key,
        "UploadId": upload,
        "PartNumberMarker": after,
        "NextPartNumberMarker": shown[-1].number if shown else after,
        "MaxParts": limit,
        "IsTruncated": len(left) > limit,
        "StorageClass": "STANDARD",
        "Part": [
            {
                "PartNumber": one.number,
                "LastModified": moment(one.modified_us),
                "ETag": f'"{one.etag}"',
                "Size": one.size_bytes,
            }
            for one in shown
        ],
    }
    return xml("ListPartsResult", fields)


async def complete(request: S3Request) -> Response:
    """CompleteMultipartUpload."""
    root = parsed(await request.document(), "CompleteMultipartUpload")
    wanted: list[tuple[int, str]] = []
    for one in root.findall("Part"):
        number = text_of(one, "PartNumber")
        if not number.isascii() or not number.isdigit():
            raise Fault("MalformedXML", "a part has no PartNumber")
        wanted.append((int(number[:6]), text_of(one, "ETag").strip().strip('"')))
    numbers = [number for number, _ in wanted]
    if not wanted or len(wanted) > MOST_PARTS:
        raise Fault("MalformedXML", f"an object has 1 to {MOST_PARTS} parts")
    if any(one >= other for one, other in pairwise(numbers)):
        raise Fault("InvalidPartOrder", "the parts have to be named in the order of their numbers, each once")
    parts, upload = request.shop.parts, request.query["uploadId"]

    def work() -> Written:
        _check(parts.list_parts(request.bucket, request.key, upload), wanted)
        return parts.complete(request.bucket, request.key, upload, numbers)

    written = await request.work.do(work)
    fields = {
        "Location": f"/{request.bucket}/{url_encoded(request.key)}",
        "Bucket": request.bucket,
        "Key": request.key,
        "ETag": f'"{written.etag}"',
    }
    headers = {"x-amz-version-id": written.version} if written.version else {}
    return xml("CompleteMultipartUploadResult", fields, headers=headers)


def _check(found: Sequence[Part], wanted: Sequence[tuple[int, str]]) -> None:
    kept = {one.number: one for one in found}
    for number, etag in wanted:
        part = kept.get(number)
        if part is None or (len(etag) == ETAG_LETTERS and etag != part.etag):
            raise Fault("InvalidPart", f"part {number} was not sent, or is another one by now")
    for number, _ in wanted[:-1]:
        if kept[number].size_bytes < LEAST_BYTES:
            size = kept[number].size_bytes
            raise Fault("EntityTooSmall", f"part {number} has {size} bytes; all but the last need {LEAST_BYTES}")


async def abort(request: S3Request) -> Response:
    """AbortMultipartUpload."""
    upload = request.query["uploadId"]
    await request.work.do(lambda: request.shop.parts.abort(request.bucket, request.key, upload))
    return Response(status_code=204)


async def list_uploads(request: S3Request) -> Response:
    """ListMultipartUploads."""
    query = request.query
    prefix, marker = query.get("prefix", ""), (query.get("key-marker", ""), query.get("upload-id-marker", ""))
    limit = request.number("max-uploads", MOST_KEYS, MOST_KEYS)
    found = await request.work.do(lambda: request.shop.parts.uploads(request.bucket))
    encode: Callable[[str], str] = url_encoded if query.get("encoding-type") == "url" else str
    kept = sorted((one for one in found if one.key.startswith(prefix)), key=lambda one: (one.key, one.id))
    # Without an upload's id, all uploads of the marker's key are passed over.
    left = [one for one in kept if (one.key, one.id) > marker and (marker[1] or one.key != marker[0])]
    shown = left[:limit]
    fields: dict[str, object] = {
        "Bucket": request.bucket,
        "KeyMarker": encode(marker[0]),
        "UploadIdMarker": marker[1],
        "NextKeyMarker": encode(shown[-1].key) if shown else "",
        "NextUploadIdMarker": shown[-1].id if shown else "",
        "EncodingType": query.get("encoding-type"),
        "Prefix": encode(prefix),
        "MaxUploads": limit,
        "IsTruncated": len(left) > limit,
        "Upload": [
            {"Key": encode(one.key), "UploadId": one.id, "Initiated": moment(one.began_us), "StorageClass": "STANDARD"}
            for one in shown
        ],
    }
    return xml("ListMultipartUploadsResult", fields)
