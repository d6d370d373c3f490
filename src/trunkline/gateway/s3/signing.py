"""Who sends a request: signatures of version 4 and 2, in a header or in the address."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from trunkline.ambient import Micros
from trunkline.gateway.s3.faults import Fault

V4 = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW_S = 15 * 60
"""How far the clocks of a client and ours may be apart."""

LONGEST_S = 7 * 24 * 3600
"""An address is signed for no longer."""

_SUBRESOURCES = frozenset(
    [
        "acl",
        "accelerate",
        "analytics",
        "cors",
        "delete",
        "encryption",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    ]
)
"""What version 2 signs of the query."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request is signed. path, query: as they came; headers: names in lower case."""

    method: str
    path: bytes
    query: str
    headers: Mapping[str, str]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The query's parts, decoded."""
        return parse_qsl(self.query, keep_blank_values=True, max_num_fields=100)


@dataclass(frozen=True, slots=True)
class Chain:
    """What the signatures of a body's pieces go on from: the request's own, and the key that made it."""

    key: bytes
    date: str
    scope: str
    first: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A request whose signature was good. payload: what its body must be, as `x-amz-content-sha256` says it."""

    access_key: str
    payload: str = UNSIGNED
    chain: Chain | None = None


Secrets = Callable[[str], str | None]
"""The secret that belongs to an access key, if there is one."""


def is_signed(asked: Asked) -> bool:
    """Whether a request says who sends it."""
    if "authorization" in asked.headers:
        return True
    return any(name in ("X-Amz-Signature", "X-Amz-Algorithm", "AWSAccessKeyId") for name, _ in asked.pairs)


def check(asked: Asked, secrets: Secrets, now_us: Micros) -> Signed:
    """Judge a signed request. Raises Fault."""
    given = asked.headers.get("authorization", "")
    if given.startswith(V4):
        return _header4(asked, given, secrets, now_us)
    if given.startswith("AWS "):
        return _header2(asked, given, secrets)
    if given:
        raise Fault("AuthorizationHeaderMalformed", f"the header Authorization is neither of AWS nor of {V4}")
    query = dict(asked.pairs)
    if "X-Amz-Algorithm" in query or "X-Amz-Signature" in query:
        return _query4(asked, query, secrets, now_us)
    return _query2(asked, query, secrets, now_us)


# --- version 4


def _header4(asked: Asked, given: str, secrets: Secrets, now_us: Micros) -> Signed:
    split = (part.strip().partition("=") for part in given[len(V4) :].split(","))
    fields = {name: value for name, _, value in split}
    if not {"Credential", "SignedHeaders", "Signature"} <= fields.keys():
        raise Fault("AuthorizationHeaderMalformed", "Authorization needs Credential, SignedHeaders and Signature")
    payload = asked.headers.get("x-amz-content-sha256")
    if payload is None:
        raise Fault("InvalidRequest", "the header x-amz-content-sha256 is missing, which a signature needs")
    date = asked.headers.get("x-amz-date") or _iso_date(asked.headers.get("date", ""))
    if abs(_instant(date) - now_us) > SKEW_S * 1_000_000:
        raise Fault("RequestTimeTooSkewed", f"the request says it was made at {date}, which is not now: set the clock")
    access, scope = _credential(fields["Credential"], date)
    signed = fields["SignedHeaders"].split(";")
    if "host" not in signed:
        raise Fault("AuthorizationHeaderMalformed", "the header Host has to be signed")
    key = _key4(_secret(secrets, access), scope)
    text = _text4(asked, asked.pairs, signed, payload, date, scope)
    _compare(_hex(key, text), fields["Signature"])
    return Signed(access, payload, Chain(key, date, scope, fields["Signature"]))


def _query4(asked: Asked, query: Mapping[str, str], secrets: Secrets, now_us: Micros) -> Signed:
    wanted = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
    missing = [name for name in (*wanted, "X-Amz-Signature") if not query.get(name)]
    if missing or query["X-Amz-Algorithm"] != V4:
        what = f"{', '.join(missing)} missing" if missing else "X-Amz-Algorithm unknown"
        raise Fault("AuthorizationHeaderMalformed", f"the address is not signed as it should be: {what}")
    began_us, lasts = _instant(query["X-Amz-Date"]), query["X-Amz-Expires"]
    if not lasts.isascii() or not lasts.isdigit() or not 0 < int(lasts) <= LONGEST_S:
        raise Fault("AuthorizationHeaderMalformed", f"X-Amz-Expires must be 1 to {LONGEST_S} seconds")
    if not began_us - SKEW_S * 1_000_000 <= now_us <= began_us + int(lasts) * 1_000_000:
        raise Fault("AccessDenied", "the signed address has expired: sign another")
    access, scope = _credential(query["X-Amz-Credential"], query["X-Amz-Date"])
    payload = asked.headers.get("x-amz-content-sha256", UNSIGNED)
    pairs = [pair for pair in asked.pairs if pair[0] != "X-Amz-Signature"]
    signed = query["X-Amz-SignedHeaders"].split(";")
    key = _key4(_secret(secrets, access), scope)
    text = _text4(asked, pairs, signed, payload, query["X-Amz-Date"], scope)
    _compare(_hex(key, text), query["X-Amz-Signature"])
    return Signed(access, payload)


def _credential(text: str, date: str) -> tuple[str, str]:
    """The access key and the scope."""
    access, _, scope = text.partition("/")
    parts = scope.split("/")
    if len(parts) != 4 or parts[2] != "s3" or parts[3] != "aws4_request" or parts[0] != date[:8]:
        raise Fault("AuthorizationHeaderMalformed", "Credential must be KEY/DATE/REGION/s3/aws4_request, of that day")
    return access, scope


def _text4(
    asked: Asked, pairs: Sequence[tuple[str, str]], signed: Sequence[str], payload: str, date: str, scope: str
) -> str:
    """The text that is signed."""
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    headers = "".join(f"{name}:{' '.join(asked.headers.get(name, '').split())}\n" for name in signed)
    canonical = "\n".join(
        [
            asked.method,
            quote(unquote_to_bytes(asked.path), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in encoded),
            headers,
            ";".join(signed),
            payload,
        ]
    )
    return "\n".join([V4, date, scope, hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()])


def _key4(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _hex(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256").hex()


def piece_signature(chain: Chain, kind: str, before: str, *parts: bytes) -> str:
    """The signature of a piece of a body, or of its trailer, that follows the one with the signature `before`.

    parts: digests of what is signed.
    """
    lines = [f"{V4}-{kind}", chain.date, chain.scope, before, *(part.hex() for part in parts)]
    return _hex(chain.key, "\n".join(lines))


# --- version 2


def _header2(asked: Asked, given: str, secrets: Secrets) -> Signed:
    access, colon, signature = given[4:].strip().rpartition(":")
    if not colon:
        raise Fault("AuthorizationHeaderMalformed", "Authorization must be AWS KEY:SIGNATURE")
    date = "" if "x-amz-date" in asked.headers else asked.headers.get("date", "")
    _compare(_sign2(asked, date, _secret(secrets, access)), signature)
    return Signed(access)


def _query2(asked: Asked, query: Mapping[str, str], secrets: Secrets, now_us: Micros) -> Signed:
    expires, access = query.get("Expires", ""), query["AWSAccessKeyId"]
    if not expires.isascii() or not expires.isdigit() or int(expires) * 1_000_000 < now_us:
        raise Fault("AccessDenied", "the signed address has expired: sign another")
    _compare(_sign2(asked, expires, _secret(secrets, access)), query.get("Signature", ""))
    return Signed(access)


def _sign2(asked: Asked, date: str, secret: str) -> str:
    headers = asked.headers
    own = sorted(name for name in headers if name.startswith("x-amz-"))
    lines = [asked.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in own]
    kept = sorted((name, value) for name, value in asked.pairs if name in _SUBRESOURCES)
    query = "&".join(f"{name}={value}" if value else name for name, value in kept)
    lines.append(asked.path.decode("latin-1") + (f"?{query}" if query else ""))
    digest = hmac.digest(secret.encode(), "\n".join(lines).encode("utf-8", "surrogateescape"), "sha1")
    return base64.b64encode(digest).decode()


# --- both


def _secret(secrets: Secrets, access: str) -> str:
    found = secrets(access)
    if found is None:
        raise Fault("InvalidAccessKeyId", "nobody has this access key here; look at what your client was given as keys")
    return found


def _compare(ours: str, theirs: str) -> None:
    if not hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogateescape")):
        raise Fault("SignatureDoesNotMatch", "the signature is not that of the secret which belongs to the access key")


def _instant(date: str) -> Micros:
    """The instant of 20260102T030405Z."""
    try:
        return int(datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        raise Fault("AccessDenied", f'"{date[:40]}" is no date of a signature: X-Amz-Date is wrong') from None


def _iso_date(text: str) -> str:
    """A date as headers have it, in the form that is signed."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except ValueError:
        return text
