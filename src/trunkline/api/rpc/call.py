"""What a door knows about the call it answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event

from trunkline.wire.gen import pfs_v2_pb2 as pfs

TOKEN = "authn-token"
TRANSACTION = "pach-transaction"
WORKER_TOKEN = "worker-token"
USER_AGENT = "user-agent"

CHANGING = (
    "Activate", "Add", "Clear", "Compose", "Create", "Deactivate", "Delete", "Drop", "Edit", "Egress", "Forget",
    "Modify", "Put", "Rerun", "Restart", "Run", "Set", "Squash", "Start", "Stop", "Update",
)  # fmt: skip
"""How the names of calls begin that change something."""


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
    _gone: Event = field(default_factory=Event, compare=False, repr=False)

    def leave(self) -> None:
        """The client waits for no answer any more."""
        self._gone.set()

    def wanted(self) -> bool:
        """Whether somebody still waits for the answer. Work that takes as long as a network does asks now and then."""
        return not self._gone.is_set()

    @property
    def bare_branches(self) -> bool:
        """Whether this client wants commits without the name of their branch.

        The newer Python client takes repo and id as a commit's identity and compares commits whole; the older one
        reads the branch's name from it.
        """
        return self.user_agent.startswith("pachyderm-sdk")

    def fitting(self, commit: pfs.Commit) -> pfs.Commit:
        """A commit as this client wants it."""
        if self.bare_branches:
            commit.branch.name = ""
        return commit

    def at_once(self) -> str:
        """What a person should know who makes this call, which no transaction holds, in a transaction; "" : nothing."""
        service, _, name = self.method.strip("/").partition("/")
        if not self.transaction or service == "transaction_v2.API" or not name.startswith(CHANGING):
            return ""
        return f"{name} is never part of a transaction: it was done at once, outside of transaction {self.transaction}"


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
