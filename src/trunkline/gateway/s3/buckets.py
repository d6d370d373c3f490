"""Buckets: listed, made, removed, and what lies in them listed by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from starlette.responses import Response

from trunkline.gateway.s3.documents import moment, parsed, text_of, url_encoded
from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.ports import Listing, Object
from trunkline.gateway.s3.requests import S3Request, xml

MOST_KEYS = 1000
REGION = "us-east-1"
"""What is said where somebody asks: there are no regions here."""

OWNER = {"ID": "trunkline", "DisplayName": "trunkline"}


async def list_buckets(request: S3Request) -> Response:
    """ListBuckets."""
    found = await request.work.do(request.shop.buckets)
    buckets = [{"Name": one.name, "CreationDate": moment(one.created_us)} for one in found]
    return xml("ListAllMyBucketsResult", {"Owner": OWNER, "Buckets": {"Bucket": buckets}})


async def head_bucket(request: S3Request) -> Response:
    """HeadBucket."""
    await request.work.do(lambda: request.shop.need(request.bucket))
    return Response(headers={"x-amz-bucket-region": REGION})


async def create_bucket(request: S3Request) -> Response:
    """CreateBucket. Where it is to be is read and has no meaning."""
    await request.document()
    await request.work.do(lambda: request.shop.create(request.bucket))
    return Response(headers={"location": f"/{request.bucket}"})


async def delete_bucket(request: S3Request) -> Response:
    """DeleteBucket."""
    await request.work.do(lambda: request.shop.delete(request.bucket))
    return Response(status_code=204)


async def location(request: S3Request) -> Response:
    """GetBucketLocation."""
    await request.work.do(lambda: request.shop.need(request.bucket))
    return xml("LocationConstraint", {})


async def versioning(request: S3Request) -> Response:
    """GetBucketVersioning: a commit never changes."""
    await request.work.do(lambda: request.shop.need(request.bucket))
    return xml("VersioningConfiguration", {"Status": "Enabled"})


async def set_versioning(request: S3Request) -> Response:
    """PutBucketVersioning, which can only say what is so."""
    root = parsed(await request.document(), "VersioningConfiguration")
    await request.work.do(lambda: request.shop.need(request.bucket))
    if text_of(root, "Status") != "Enabled":
        raise Fault("InvalidArgument", "every bucket keeps its versions, which are commits: only Enabled can be said")
    return Response()


async def list_objects(request: S3Request) -> Response:
    """ListObjects and ListObjectsV2."""
    query = request.query
    newer = query.get("list-type") == "2"
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    if delimiter not in ("", "/"):
        raise Fault("InvalidDelimiter", f'the delimiter can be "/" or none, not "{delimiter[:20]}"')
    limit = request.number("max-keys", MOST_KEYS, MOST_KEYS)
    token = query.get("continuation-token", "") if newer else ""
    after = _untold(token) if token else query.get("start-after" if newer else "marker", "")

    def page() -> Listing:
        shelf = request.shop.open(request.bucket)
        return shelf.list(prefix.lstrip("/"), bool(delimiter), after.lstrip("/"), limit) if limit else Listing()

    found = await request.work.do(page)
    encode: Callable[[str], str] = url_encoded if query.get("encoding-type") == "url" else str
    fields: dict[str, object] = {
        "Name": request.bucket,
        "Prefix": encode(prefix),
        "MaxKeys": limit,
        "Delimiter": delimiter or None,
        "EncodingType": query.get("encoding-type"),
        "IsTruncated": found.truncated,
    }
    last = found.entries[-1] if found.entries else ""
    last = last.key if isinstance(last, Object) else last
    if newer:
        fields["KeyCount"] = len(found.entries)
        fields["ContinuationToken"] = token or None
        fields["StartAfter"] = encode(query["start-after"]) if "start-after" in query else None
        fields["NextContinuationToken"] = _told(last) if found.truncated else None
    else:
        fields["Marker"] = encode(after)
        fields["NextMarker"] = encode(last) if found.truncated else None
    owner = None if newer and query.get("fetch-owner") != "true" else OWNER
    fields["Contents"] = [
        {
            "Key": encode(one.key),
            "LastModified": moment(one.modified_us),
            "ETag": f'"{one.etag}"',
            "Size": one.size_bytes,
            "StorageClass": "STANDARD",
            "Owner": owner,
        }
        for one in found.entries
        if isinstance(one, Object)
    ]
    fields["CommonPrefixes"] = [{"Prefix": encode(one)} for one in found.entries if isinstance(one, str)]
    return xml("ListBucketResult", fields)


def _told(key: str) -> str:
    """A key as a token: clients give it back as it is."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def _untold(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Fault("InvalidArgument", "the continuation token is not one of ours") from None
