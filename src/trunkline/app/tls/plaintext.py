"""What a client hears that speaks plaintext where TLS is spoken: the reason, in its own language.

gRPC gets each call refused in words, over as little of HTTP/2 as that takes; HTTP/1 gets status 400. Whoever says
something else is left without an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_S = 30.0
"""A client that has not gone by then is cut off."""
MOST_BYTES = 64 << 10
"""Kept of what a client says and is not understood yet."""

_FAILED_PRECONDITION = 9
_HEADER = 9
_HEADERS, _SETTINGS, _PING = 1, 4, 6
_ACK, _END_STREAM_AND_HEADERS = 0x1, 0x5
_STATUS_200 = b"\x88"
_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")


class Refusing(asyncio.Protocol):
    """One client that speaks plaintext. names: hosts of the certificate."""

    def __init__(self, names: Sequence[str]) -> None:
        known = f"; its certificate is for {', '.join(names)}" if names else ""
        self._words = f"this server speaks TLS: connect to grpcs://HOST:PORT (clients in Python: tls=True){known}"
        self._page = f"this server speaks TLS: ask https://HOST:PORT{known}\n"
        self._got = bytearray()
        self._transport: asyncio.Transport | None = None
        self._greeted = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client has a while to understand and go."""
        self._transport = cast(asyncio.Transport, transport)
        self._deadline = asyncio.get_running_loop().call_later(PATIENCE_S, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer what is a question."""
        self._got += data
        if self._transport is None:
            return
        if self._greeted or self._got.startswith(PREFACE):
            self._calls(self._transport)
        elif self._got.startswith(_METHODS):
            if b"\r\n\r\n" in self._got or len(self._got) > MOST_BYTES:
                self._transport.write(_http(self._page))
                self._transport.close()
        elif not PREFACE.startswith(self._got[: len(PREFACE)]) and len(self._got) >= max(map(len, _METHODS)):
            self._transport.close()

    def _calls(self, transport: asyncio.Transport) -> None:
        """Answer every whole frame that asks for it."""
        if not self._greeted:
            del self._got[: len(PREFACE)]
            transport.write(_frame(_SETTINGS, 0, 0, b""))
            self._greeted = True
        while len(self._got) >= _HEADER:
            length = int.from_bytes(self._got[:3], "big")
            if length > MOST_BYTES:
                transport.abort()
                return
            if len(self._got) < _HEADER + length:
                return
            kind, flags = self._got[3], self._got[4]
            stream = int.from_bytes(self._got[5:_HEADER], "big") & 0x7FFFFFFF
            payload = bytes(self._got[_HEADER : _HEADER + length])
            del self._got[: _HEADER + length]
            if kind == _HEADERS:
                transport.write(_frame(_HEADERS, _END_STREAM_AND_HEADERS, stream, _refusal(self._words)))
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                transport.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _refusal(words: str) -> bytes:
    """Headers that are a gRPC call's whole answer (RFC 7541, literals that nobody has to remember)."""
    told = {"content-type": "application/grpc", "grpc-status": str(_FAILED_PRECONDITION), "grpc-message": words}
    return _STATUS_200 + b"".join(b"\x00" + _text(name) + _text(value) for name, value in told.items())


def _text(text: str) -> bytes:
    """A string of HPACK: its length, in a prefix of seven bits, and its bytes."""
    data = text.encode("ascii", "replace")
    length, most = len(data), 0x7F
    if length < most:
        return bytes((length,)) + data
    rest = length - most
    lead = bytearray((most,))
    while rest >= 0x80:
        lead.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*lead, rest)) + data


def _http(page: str) -> bytes:
    body = page.encode()
    return (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
