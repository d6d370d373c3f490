"""Recorded transactions: requests kept one by one, then carried out together in one change, or not at all.

Each request is tried when it is added, behind those before it, on what is there at that moment; all is undone again.
Ids that a transaction makes are drawn from its own id, so that those told at the trial are those of the end. The id
of the transaction is that of the one commit set which it makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from trunkline.catalog import transactions as rows
from trunkline.catalog.engine import Seed, Trace, Tx
from trunkline.catalog.transactions import TransactionRow
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument, Kind, NotFound, TrunklineError
from trunkline.model.names import is_id
from trunkline.pfs.files import Files
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.trials import Trial, Trials

MOST_REQUESTS = 1000
"""How many requests a transaction may have: all of them run in one function, while every other writer waits."""

MOST_BYTES = 4 << 20
"""How long they may be together, so that what a client sees of a transaction fits into a message."""

MOST_LISTED = 1000
CALLERS = {
    Kind.INVALID_ARGUMENT,
    Kind.NOT_FOUND,
    Kind.ALREADY_EXISTS,
    Kind.FAILED_PRECONDITION,
    Kind.ABORTED,
    Kind.PERMISSION_DENIED,
    Kind.UNIMPLEMENTED,
}
"""Errors that say something about a request; others are about the server."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a request came to. response: what is kept with it. told: what its caller is answered."""

    response: bytes
    told: Any = None


class Player(Protocol):
    """Knows what requests mean."""

    def play(self, change: Change, request: bytes) -> Played:
        """Do what a request says, as part of a change. No effect but through `change.tx`."""
        ...

    def name(self, request: bytes) -> str:
        """What kind of request it is, for people."""
        ...


class _Refused(Exception):
    """A request failed; `at` is its position."""

    def __init__(self, at: int, error: TrunklineError) -> None:
        super().__init__(at, error)
        self.at = at
        self.error = error


@dataclass(frozen=True, slots=True)
class _Done:
    """What requests came to. reached: their change before it was closed; trace: what they changed until then."""

    played: Sequence[Played]
    reached: Change
    trace: Trace


@dataclass(frozen=True, slots=True)
class Transactions:
    """All transactions of a server."""

    files: Files
    player: Player
    trials: Trials = field(default_factory=Trials)

    def start(self) -> TransactionRow:
        """Open one."""
        id = self.files.ambient.new_id()
        return self.files.catalog.transact(lambda tx: rows.insert_transaction(tx, id))

    def inspect(self, id: str) -> TransactionRow:
        """One that is open. Raises NotFound, InvalidArgument."""
        return self.files.catalog.read(lambda tx: need_transaction(tx, id))

    def listed(self) -> list[TransactionRow]:
        """Those that are open, oldest first. Of one that is damaged no requests."""
        return self.files.catalog.read(lambda tx: rows.list_transactions(tx, MOST_LISTED))

    def delete(self, id: str) -> None:
        """Forget one, with nothing done. Raises NotFound, InvalidArgument."""

        def work(tx: Tx) -> None:
            _known(tx, id)
            rows.delete_transaction(tx, id)

        self.files.catalog.transact(work)
        self.trials.forget(id)

    def delete_all(self) -> None:
        """Forget all that are open."""
        self.files.catalog.transact(rows.delete_all)
        self.trials.clear()

    def append(self, id: str, request: bytes, *, keep: bool = True) -> Played:
        """Try a request behind those that the transaction has, and add it. keep: False only tries it.

        Raises what the request raises, and then has not added it; FailedPrecondition where an earlier one fails by
        now or the transaction is full; NotFound.
        """
        known = self.trials.get(id)

        def work(tx: Tx) -> tuple[Played, Trial]:
            played, trial = self._tried(tx, id, request, known)
            if keep:
                rows.append_request(tx, id, trial.requests - 1, request, played.response)
            return played, trial

        seed = self._seed(id)
        played, trial = self.files.catalog.transact(work, seed) if keep else self.files.catalog.dry_run(work, seed)
        if keep:
            self.trials.put(id, trial)
        return played

    def _tried(self, tx: Tx, id: str, request: bytes, known: Trial | None) -> tuple[Played, Trial]:
        """What a request comes to behind those of a transaction. Nothing of it is left."""
        had, mark = need_transaction(tx, id).requests, tx.mark
        with tx.undone():
            change = known.again(tx, len(had)) if known is not None else None
            if known is None or change is None:
                change = self.files.change_in(tx, set_id=id)
                requests = (*had, request)
                size, seed, trace = sum(map(len, requests)), tx.seed, None
            else:
                requests = (request,)
                size, seed, trace = known.size + len(request), known.seed, known.trace
            _check_size(len(had) + 1, size)
            try:
                done = self._play(change, requests, trace, trial=True)
            except _Refused as refused:
                if refused.at == len(requests) - 1:
                    raise refused.error from None
                raise self._stale(id, requests, refused) from refused
        return done.played[-1], Trial(len(had) + 1, size, seed, mark, done.reached, done.trace)

    def finish(self, id: str) -> TransactionRow:
        """Carry out all requests of a transaction at once; the transaction as it ended.

        Raises FailedPrecondition where one of them fails by now; then nothing is done and the transaction stays.
        """

        def work(tx: Tx) -> TransactionRow:
            known = need_transaction(tx, id)
            try:
                played = self._play(self.files.change_in(tx, set_id=id), known.requests).played
            except _Refused as refused:
                raise self._stale(id, known.requests, refused) from refused
            rows.delete_transaction(tx, id)
            return TransactionRow(id, known.started_us, known.requests, tuple(one.response for one in played))

        ended = self.files.catalog.transact(work, self._seed(id))
        self.trials.forget(id)
        return ended

    def batch(self, requests: Sequence[bytes]) -> tuple[TransactionRow, Sequence[Played]]:
        """Carry out requests at once, and what each came to; no transaction is there before or after.

        Raises what one of them does.
        """
        _check_size(len(requests), sum(map(len, requests)))
        id = self.files.ambient.new_id()

        def work(tx: Tx) -> tuple[TransactionRow, Sequence[Played]]:
            try:
                played = self._play(self.files.change_in(tx, set_id=id), requests).played
            except _Refused as refused:
                error = refused.error
                what = f"request {refused.at + 1} of the batch ({self.player.name(requests[refused.at])})"
                raise type(error)(f"{what}: {error}; nothing of the batch was done") from error
            return TransactionRow(id, tx.now_us, tuple(requests), tuple(one.response for one in played)), played

        return self.files.catalog.transact(work, self._seed(id))

    def _play(
        self, change: Change, requests: Sequence[bytes], before: Trace | None = None, *, trial: bool = False
    ) -> _Done:
        """Do what requests say. before: what the change has changed so far. trial: all will be undone."""
        played: list[Played] = []
        try:
            with change.tx.traced(before) as trace:
                for request in requests:
                    played.append(self.player.play(change, request))
            reached = change.over(change.tx)
            change.close(trial=trial)
        except TrunklineError as error:
            if error.kind not in CALLERS or not requests:
                raise
            # What only shows at the end is laid at the door of the last request: without it, all went well.
            raise _Refused(min(len(played), len(requests) - 1), error) from error
        return _Done(played, reached, trace)

    def _stale(self, id: str, requests: Sequence[bytes], refused: _Refused) -> FailedPrecondition:
        return FailedPrecondition(
            f"transaction {id} cannot be finished any more: its request {refused.at + 1} of {len(requests)} "
            f"({self.player.name(requests[refused.at])}) fails by now: {refused.error}; nothing was done; mend "
            f"that and finish it then, or drop it with `pachctl delete transaction {id}`"
        )

    def _seed(self, id: str) -> Seed:
        check_id(id)
        return Seed(self.files.ambient.now_us(), int(id, 16) >> 65)


def check_id(id: str) -> None:
    """Raise InvalidArgument where `id` cannot be that of a transaction."""
    if not is_id(id):
        raise InvalidArgument(f'"{id}" is not the id of a transaction: 32 hex digits are expected')


def need_transaction(tx: Tx, id: str) -> TransactionRow:
    """An open transaction. Raises NotFound, InvalidArgument, DataLoss where one of its requests is damaged."""
    row = _known(tx, id)
    if row.damaged:
        raise DataLoss(f"{row.damaged}; delete it with `pachctl delete transaction {id}` and begin it again")
    return row


def _known(tx: Tx, id: str) -> TransactionRow:
    check_id(id)
    row = rows.get_transaction(tx, id)
    if row is None:
        raise gone(id)
    return row


def gone(id: str) -> NotFound:
    """The refusal of one that is not open."""
    return NotFound(
        f"transaction {id} not found: it was finished or deleted, or never started; "
        "`pachctl list transaction` shows those that are open"
    )


def _check_size(requests: int, size: int) -> None:
    if requests > MOST_REQUESTS:
        raise FailedPrecondition(f"a transaction has at most {MOST_REQUESTS} requests; finish it and start another")
    if size > MOST_BYTES:
        raise FailedPrecondition(
            f"the requests of a transaction have at most {MOST_BYTES >> 20} MiB together; finish it and start another"
        )
