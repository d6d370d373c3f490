"""transaction_v2.API, and what becomes of a call that names a transaction in its header."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from trunkline.api.rpc.call import Call
from trunkline.api.transactions.members import Answer, Member, refuse_dry
from trunkline.catalog.transactions import TransactionRow
from trunkline.errors import ResourceExhausted
from trunkline.pfs.graph.transactions import Transactions
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import transaction_v2_pb2 as wire
from trunkline.wire.times import timestamp

LISTED_BYTES = 16 << 20
"""All open transactions together travel in one message, and clients take none above 20 MiB."""


@dataclass(frozen=True, slots=True)
class TransactionDoor:
    """Transactions opened, shown, finished, dropped. None of these calls is ever part of one."""

    transactions: Transactions
    service: str = field(default="transaction_v2.API")

    def BatchTransaction(self, request: wire.BatchTransactionRequest, call: Call) -> wire.TransactionInfo:
        """Several requests at once."""
        for each in request.requests:
            refuse_dry(each)
        requests = [one.SerializeToString(deterministic=True) for one in request.requests]
        row, played = self.transactions.batch(requests)
        for one in played:
            call.notes.extend(one.told.notes)
        return _info(row, call)

    def StartTransaction(self, _request: wire.StartTransactionRequest, _call: Call) -> wire.Transaction:
        """Open a transaction."""
        return wire.Transaction(id=self.transactions.start().id)

    def InspectTransaction(self, request: wire.InspectTransactionRequest, call: Call) -> wire.TransactionInfo:
        """One that is open."""
        return _info(self.transactions.inspect(request.transaction.id), call)

    def DeleteTransaction(self, request: wire.DeleteTransactionRequest, _call: Call) -> Empty:
        """Drop one."""
        self.transactions.delete(request.transaction.id)
        return Empty()

    def ListTransaction(self, _request: wire.ListTransactionRequest, call: Call) -> wire.TransactionInfos:
        """Those that are open, oldest first."""
        answer = wire.TransactionInfos()
        size = 0
        for row in self.transactions.listed():
            size += sum(map(len, row.requests))
            if size > LISTED_BYTES:
                raise ResourceExhausted(
                    f"the open transactions are too large to be listed together; the oldest is "
                    f"{answer.transaction_info[0].transaction.id}: inspect and finish it, or delete it"
                )
            answer.transaction_info.append(_info(row, call))
        return answer

    def FinishTransaction(self, request: wire.FinishTransactionRequest, call: Call) -> wire.TransactionInfo:
        """Carry one out."""
        return _info(self.transactions.finish(request.transaction.id), call)

    def DeleteAll(self, _request: wire.DeleteAllRequest, _call: Call) -> Empty:
        """Drop all that are open."""
        self.transactions.delete_all()
        return Empty()


@dataclass(frozen=True, slots=True)
class CallRecorder:
    """Fills the port of `api.rpc.doors`: calls in a transaction that can hold them are added to it."""

    transactions: Transactions
    by_call: dict[str, Member]

    def takes(self, method: str) -> bool:
        """Whether transactions hold such calls."""
        return method in self.by_call

    def record(self, request: Any, call: Call) -> Message:
        """Add a call to its transaction, unless it only asks what would happen; what it answered when it was tried."""
        member = self.by_call[call.method]
        kept = wire.TransactionRequest()
        getattr(kept, member.name).CopyFrom(member.kept(request))
        body = kept.SerializeToString(deterministic=True)
        answer: Answer = self.transactions.append(call.transaction, body, keep=not member.dry(request)).told
        call.notes.extend(answer.notes)
        if isinstance(answer.message, pfs.Commit):
            return call.fitting(answer.message)
        return answer.message


def _info(row: TransactionRow, call: Call) -> wire.TransactionInfo:
    info = wire.TransactionInfo(
        transaction=wire.Transaction(id=row.id), started=timestamp(row.started_us), version=len(row.requests)
    )
    info.requests.extend(map(wire.TransactionRequest.FromString, row.requests))
    for body in row.responses:
        response = info.responses.add()
        response.ParseFromString(body)
        if response.HasField("commit"):
            call.fitting(response.commit)
    return info
