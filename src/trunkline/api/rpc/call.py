"""What a door knows about the call it answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from trunkline.errors import Unimplemented

TOKEN = "authn-token"
TRANSACTION = "pach-transaction"
WORKER_TOKEN = "worker-token"
USER_AGENT = "user-agent"


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls what. `transaction` is empty outside of one; `token` is sent even to a server without auth.

    worker_token: what one of the server's own workers shows.
    notes: sentences for the person behind the call, which a door may add and which travel beside a single answer.
    """

    method: str
    user_agent: str = ""
    token: str = ""
    transaction: str = ""
    worker_token: str = field(default="", repr=False)
    notes: list[str] = field(default_factory=list, compare=False)

    @property
    def bare_branches(self) -> bool:
        """Whether this client wants commits without the name of their branch.

        The newer Python client takes repo and id as a commit's identity and compares commits whole; the older one
        reads the branch's name from it.
        """
        return self.user_agent.startswith("pachyderm-sdk")

    def refuse_transaction(self) -> None:
        """Raise Unimplemented inside a transaction: doing the work at once would be worse than not doing it."""
        if self.transaction:
            raise Unimplemented(
                f"{self.method} was called in transaction {self.transaction}, and this server has no transactions yet; "
                "make the call without a transaction"
            )


def call_of(method: str, metadata: Iterable[tuple[str, str | bytes]] | None) -> Call:
    """The call behind some metadata. An empty header counts as none: clients leave it behind after a transaction."""
    found = {key: value for key, value in metadata or () if isinstance(value, str)}
    return Call(
        method,
        found.get(USER_AGENT, ""),
        found.get(TOKEN, ""),
        found.get(TRANSACTION, ""),
        found.get(WORKER_TOKEN, ""),
    )
