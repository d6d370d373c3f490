"""What workers show their server: made of one key, so that every server that has the key knows them."""

from __future__ import annotations

import hmac

from trunkline.errors import PermissionDenied

EVERYTHING = "*"


class WorkerTokens:
    """Tokens, each good for the workers of one name: those of one version of a pipeline in a cluster, or all.

    Holding one of them tells nothing about another.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.whole = self.of(EVERYTHING)
        """For workers of every pipeline."""

    def of(self, name: str) -> str:
        """For workers called NAME-SOMETHING, and for their pipeline only."""
        return f"{name}:{hmac.digest(self._key, name.encode(), 'sha256').hex()}"

    def name_in(self, token: str) -> str:
        """The name that a token is good for; "" for every one. Raises PermissionDenied where it is none of ours."""
        name = token.rpartition(":")[0]
        if not name or not hmac.compare_digest(self.of(name).encode(), token.encode()):
            raise PermissionDenied(
                "this call is for the server's own workers, and its token is not theirs (that of an earlier start is "
                "not either); use the public services instead"
            )
        return "" if name == EVERYTHING else name
