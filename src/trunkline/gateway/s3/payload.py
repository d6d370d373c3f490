"""Bodies as clients send them: plain, or in signed pieces; every sum that comes with them is checked.

Whoever takes the bytes must do nothing that lasts before the last one has come, since only then is it known whether
the body is what was signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol

from trunkline.gateway.s3.faults import Fault
from trunkline.gateway.s3.signing import UNSIGNED, Signed, piece_signature

STREAMING = "STREAMING-"
_TRAILING = "-TRAILER"
_MAX_LINE = 8192
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_NOTHING = hashlib.sha256(b"").digest()


class Sum(Protocol):
    """A running sum."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more."""
        ...

    def digest(self) -> bytes:
        """What it has come to."""
        ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _sum_of(name: str) -> Sum | None:
    """The sum that the header `name` is about; None where it is none that we know how to take."""
    match name:
        case "content-md5":
            return hashlib.md5(usedforsecurity=False)
        case "x-amz-checksum-sha1":
            return hashlib.sha1(usedforsecurity=False)
        case "x-amz-checksum-sha256":
            return hashlib.sha256()
        case "x-amz-checksum-crc32":
            return _Crc32()
    return None


class Decoder:
    """Turns what comes over the wire into the bytes meant. `feed` it everything, then call `finish`."""

    def __init__(self, headers: Mapping[str, str], signed: Signed) -> None:
        self._signed = signed
        self._length = _length(headers)
        self._got = 0
        self._expected = {name: value for name, value in headers.items() if _is_sum(name)}
        self._sums = {name: one for name in self._expected if (one := _sum_of(name)) is not None}
        trailing = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")]
        self._sums |= {name: one for name in trailing if (one := _sum_of(name)) is not None}
        self._whole = hashlib.sha256() if _HEX.match(signed.payload) else None
        self._pieces = _Pieces(signed) if signed.payload.startswith(STREAMING) else None
        if self._pieces is None and self._whole is None and signed.payload != UNSIGNED:
            raise Fault("InvalidArgument", f'x-amz-content-sha256 "{signed.payload[:80]}" is not known')

    def feed(self, data: bytes) -> Iterator[bytes]:
        """More of the body; what it means."""
        for plain in [data] if self._pieces is None else self._pieces.feed(data):
            self._got += len(plain)
            for one in self._sums.values():
                one.update(plain)
            if self._whole is not None:
                self._whole.update(plain)
            if plain:
                yield plain

    def finish(self) -> None:
        """It was all. Raises Fault where it is not what was announced."""
        if self._pieces is not None:
            self._expected |= self._pieces.finish()
        if self._length is not None and self._got != self._length:
            raise Fault("IncompleteBody", f"{self._length} bytes were announced, and {self._got} came")
        if self._whole is not None and not hmac.compare_digest(self._whole.hexdigest(), self._signed.payload):
            raise Fault("XAmzContentSHA256Mismatch", "the body is not the one that was signed")
        for name, one in self._sums.items():
            expected = self._expected.get(name)
            if expected is None:
                raise Fault("InvalidRequest", f"{name} was announced for the end of the body, and did not come")
            if _decoded(name, expected) != one.digest():
                raise Fault("BadDigest", f"the body does not have the {name} that was sent with it")


def _is_sum(name: str) -> bool:
    return name == "content-md5" or (name.startswith("x-amz-checksum-") and _sum_of(name) is not None)


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Fault("InvalidDigest", f"{name} is not in base64") from None


def _length(headers: Mapping[str, str]) -> int | None:
    """How many bytes are meant; None where it is not said."""
    text = headers.get("x-amz-decoded-content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise Fault("InvalidArgument", f'x-amz-decoded-content-length "{text[:40]}" is no number of bytes')
    return int(text)


class _Pieces:
    """The form `aws-chunked`: SIZE;chunk-signature=HEX, the bytes; at the end a size of 0 and perhaps a trailer."""

    def __init__(self, signed: Signed) -> None:
        kind = signed.payload
        self._signs = "UNSIGNED" not in kind
        self._trails = kind.endswith(_TRAILING)
        if self._signs and (signed.chain is None or "HMAC-SHA256" not in kind):
            raise Fault("NotImplemented", f"bodies signed as {kind[:80]} are not understood")
        self._chain = signed.chain
        self._before = signed.chain.first if signed.chain is not None else ""
        self._buffer = bytearray()
        self._left = -1  # bytes of the piece that are still to come; -1: a line is
        self._expected = ""
        self._sum = hashlib.sha256()
        self._last = False
        self._trailer: list[str] = []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What lies in the pieces."""
        self._buffer += data
        while True:
            if self._left > 0:
                plain = bytes(self._buffer[: self._left])
                del self._buffer[: len(plain)]
                self._left -= len(plain)
                if self._signs:
                    self._sum.update(plain)
                if plain:
                    yield plain
                if self._left:
                    return
            if self._left == 0:
                if len(self._buffer) < 2:
                    return
                self._end_of_piece()
                continue
            line = self._line()
            if line is None:
                return
            self._take(line)

    def finish(self) -> dict[str, str]:
        """The sums that came at the end."""
        if not self._last or self._left > 0:
            raise Fault("IncompleteBody", "the body ended in the middle of its pieces")
        found = (line.partition(":") for line in self._trailer)
        fields = {name.strip().lower(): value.strip() for name, _, value in found}
        signature = fields.pop("x-amz-trailer-signature", "")
        if self._trails and self._signs and self._chain is not None:
            text = "".join(f"{name}:{value}\n" for name, value in fields.items())
            digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
            self._check(piece_signature(self._chain, "TRAILER", self._before, digest), signature)
        return fields

    def _line(self) -> str | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > _MAX_LINE:
                raise Fault("InvalidRequest", "the pieces of the body are not in the form aws-chunked")
            return None
        line = self._buffer[:end].rstrip(b"\r").decode("utf-8", "surrogateescape")
        del self._buffer[: end + 1]
        return line

    def _take(self, line: str) -> None:
        if self._last:
            if line and len(self._trailer) < 20:
                self._trailer.append(line)
            return
        size, _, more = line.partition(";")
        try:
            self._left = int(size, 16)
        except ValueError:
            self._left = -1
        if self._left < 0:
            raise Fault("InvalidRequest", f'"{size[:40]}" is no size of a piece')
        self._expected = more.partition("chunk-signature=")[2].strip()
        if self._left == 0:
            self._last = True
            self._verify()
            self._left = -1

    def _end_of_piece(self) -> None:
        if self._buffer[:2] != b"\r\n":
            raise Fault("InvalidRequest", "a piece of the body is longer than its size")
        del self._buffer[:2]
        self._verify()
        self._left = -1

    def _verify(self) -> None:
        if self._signs and self._chain is not None:
            ours = piece_signature(self._chain, "PAYLOAD", self._before, _NOTHING, self._sum.digest())
            self._check(ours, self._expected)
            self._before = ours
            self._sum = hashlib.sha256()

    def _check(self, ours: str, theirs: str) -> None:
        if not hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogateescape")):
            raise Fault("SignatureDoesNotMatch", "a piece of the body does not have the signature that it needs")
