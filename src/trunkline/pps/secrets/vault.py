"""The one key that all secrets are encrypted with, in a file of its own (docs/formats/secrets.md)."""

from __future__ import annotations

import hmac
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.ambient import Ambient
from trunkline.errors import DataLoss

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32

_HEX = re.compile(rb"[0-9a-fA-F]{64}\s?")


class Vault:
    """Encrypts and decrypts with the key in `path`. Safe to share.

    given: the key was made by somebody else, who keeps it; otherwise it is made when it is first needed.
    """

    def __init__(self, path: Path, ambient: Ambient, *, given: bool = False) -> None:
        self.path = path
        self._ambient = ambient
        self.given = given
        self.on_made: Callable[[], None] = lambda: None
        """Called with every new key before anything is encrypted with it; where it raises, the key goes again."""
        self._lock = threading.RLock()
        self._cipher: AESGCM | None = None

    def seal(self, name: str, data: bytes) -> bytes:
        """Encrypt what the secret `name` holds; it can be opened under that name only."""
        nonce = bytes.fromhex(self._ambient.new_id())[-NONCE_BYTES:]
        return VERSION + nonce + self._key(make=True).encrypt(nonce, data, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """The reverse of `seal`. Raises DataLoss."""
        from cryptography.exceptions import InvalidTag

        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != VERSION:
            raise DataLoss(f"secret {name} was kept by a later version of this server; delete it and create it again")
        try:
            return self._key(make=False).decrypt(nonce, body, name.encode())
        except InvalidTag:
            raise DataLoss(
                f"secret {name} cannot be read: it was encrypted with another key than that in {self.path}; "
                "put that file back, or delete the secret and create it again"
            ) from None

    def derive(self, purpose: str) -> bytes:
        """Another key, of 32 bytes, that whoever has this one can make, and nobody make this one of."""
        with self._lock:
            return hmac.digest(self._read(make=True), purpose.encode(), "sha256")

    def agrees(self, key: bytes) -> bool:
        """Whether a file with these bytes holds the same key. Raises DataLoss where this one's cannot be read."""
        with self._lock:
            return hmac.compare_digest(_parsed(key) or b"", self._read(make=False))

    def unreadable(self, secrets: Iterable[tuple[str, bytes]], key_file: Path | None = None) -> list[str]:
        """Names of those secrets that cannot be opened. key_file: in place of this one's."""
        vault = Vault(key_file or self.path, self._ambient, given=True)
        return [name for name, sealed in secrets if not vault._opens(name, sealed)]

    def _opens(self, name: str, sealed: bytes) -> bool:
        try:
            self.open(name, sealed)
        except DataLoss:
            return False
        return True

    def check(self) -> bool:
        """Whether there is a key already. Raises DataLoss where it is damaged, or was given and is not there."""
        with self._lock:
            there = self.given or self.path.exists()
            if there:
                self._read(make=False)
            return there

    def _key(self, make: bool) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # a server without secrets starts without it

        with self._lock:
            if self._cipher is None:
                self._cipher = AESGCM(self._read(make))
            return self._cipher

    def _read(self, make: bool) -> bytes:
        try:
            key = self.path.read_bytes()
        except FileNotFoundError:
            if make and not self.given:
                return self._agreed(self._make())
            raise DataLoss(f"the key of all secrets, {self.path}, is gone; put it back from a backup") from None
        except OSError as error:
            raise DataLoss(f"the key of all secrets, {self.path}, cannot be read: {error.strerror}") from None
        parsed = _parsed(key)
        if parsed is None:
            raise DataLoss(f"the key of all secrets, {self.path}, is damaged; put it back from a backup")
        return parsed

    def _agreed(self, key: bytes) -> bytes:
        try:
            self.on_made()
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        return key

    def _make(self) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = AESGCM.generate_key(KEY_BYTES * 8)
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # what is encrypted with it must not outlive it
        finally:
            os.close(folder)
        return key


def _parsed(key: bytes) -> bytes | None:
    """The key in the bytes of a file; None: there is none."""
    if _HEX.fullmatch(key):
        return bytes.fromhex(key.decode())
    return key if len(key) == KEY_BYTES else None
