"""Where a server listens, in the forms that people and config files write it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from trunkline.errors import InvalidArgument

DEFAULT_PORT = 30650
_PORTS = {"grpc": DEFAULT_PORT, "grpcs": DEFAULT_PORT, "http": 80, "https": 443}
_TLS = frozenset({"grpcs", "https"})
_FORMS = "such as localhost:30650, grpc://HOST:PORT, grpcs://HOST:PORT, http(s)://HOST[:PORT] or unix:/PATH"


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address. `host` is empty and `path` set for a Unix socket, else the other way round."""

    host: str
    port: int
    tls: bool
    path: str = ""

    @property
    def target(self) -> str:
        """What gRPC dials."""
        return f"unix:{self.path}" if self.path else f"dns:///{self.place}"

    @property
    def place(self) -> str:
        """`HOST:PORT`, or the socket's path: how messages name the server."""
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, where no proxy belongs in between."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{'grpcs' if self.tls else 'grpc'}://{self.place}"


def parse(text: str) -> Address:
    """The address that `text` means. Raises InvalidArgument, with the text and the forms there are.

    Without a scheme it is plaintext; without a port, the scheme's own. A path, query, user or password is refused.
    """
    given = text.strip()
    if given.startswith("unix:"):
        path = given.removeprefix("unix:")
        path = path[2:] if path.startswith("///") else path
        if not path or "\0" in path:
            raise _refused(text, "it names no socket")
        return Address("", 0, tls=False, path=path)
    scheme, mark, rest = given.partition("://")
    if not mark:
        scheme, rest = "grpc", given
    if scheme.lower() not in _PORTS:
        raise _refused(text, f'the scheme "{scheme}" is unknown')
    return _split(text, scheme.lower(), rest)


def _split(text: str, scheme: str, rest: str) -> Address:
    try:
        parts: SplitResult = urlsplit(f"//{rest}")
        port = parts.port
    except ValueError as error:
        raise _refused(text, str(error)) from error
    if parts.username is not None or parts.password is not None:
        raise _refused(text, "it holds a user or a password")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise _refused(text, "nothing may follow the port")
    host = parts.hostname or ""
    if not host or any(char.isspace() for char in host):
        raise _refused(text, "it names no host")
    if port == 0:
        raise _refused(text, "port 0 cannot be dialled")
    return Address(host, port or _PORTS[scheme], tls=scheme in _TLS)


def _refused(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f'"{text}" is not the address of a server: {why}; write one {_FORMS}')
