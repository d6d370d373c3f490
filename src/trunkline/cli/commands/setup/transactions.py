"""Transactions: several changes that happen together, or not at all. The open one's id is kept in the context."""

from __future__ import annotations

import click

from trunkline.cli.config.contexts import Context
from trunkline.cli.late import transactions
from trunkline.cli.options import command, full_timestamps_option, raw_options
from trunkline.cli.pages import page, page_options
from trunkline.cli.session import ADDRESS, Session, pass_session
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.names import is_id

_HEADER = ("TRANSACTION", "STARTED", "OPS")


@command()
@pass_session
def start(session: Session) -> None:
    """Open a transaction.

    Changes to repos, branches, commits and pipelines are collected until `pachctl finish transaction`. Files are not
    part of it: they are put at once.
    """
    context = _context(session)
    if context.transaction:
        raise FailedPrecondition(
            f"transaction {context.transaction} is open; finish it with `pachctl finish transaction`, or leave it with "
            "`pachctl stop transaction`"
        )
    opened = session.client.transactions.StartTransaction(transactions.StartTransactionRequest())
    _remember(session, opened.id)
    click.echo(f'started new transaction: "{opened.id}"')


@command()
@pass_session
def stop(session: Session) -> None:
    """Leave the open transaction; it can be resumed."""
    id = _open(session, None)
    _remember(session, "")
    click.echo(f"Cleared active transaction: {id}")


@command()
@click.argument("id")
@pass_session
def resume(session: Session, id: str) -> None:
    """Go on with a transaction that was left."""
    info = _look(session, _open(session, id))
    _remember(session, info.transaction.id)
    click.echo(f"Resuming existing transaction with {len(info.requests)} requests: {info.transaction.id}")


@command()
@click.argument("id", required=False)
@pass_session
def finish(session: Session, id: str | None) -> None:
    """Make the changes of a transaction; the open one if none is named."""
    wanted = transactions.Transaction(id=_open(session, id))
    request = transactions.FinishTransactionRequest(transaction=wanted)
    info = session.client_outside.transactions.FinishTransaction(request)
    _forget(session, wanted.id)
    click.echo(f"Completed transaction with {len(info.requests)} requests: {wanted.id}")


@command()
@click.argument("id", required=False)
@pass_session
def delete(session: Session, id: str | None) -> None:
    """Drop a transaction and its changes; the open one if none is named."""
    wanted = transactions.Transaction(id=_open(session, id))
    session.client_outside.transactions.DeleteTransaction(transactions.DeleteTransactionRequest(transaction=wanted))
    _forget(session, wanted.id)


@command()
@click.argument("id", required=False)
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, id: str | None, raw: str, full: bool) -> None:
    """Show a transaction in full; the open one if none is named."""
    info = _look(session, _open(session, id))
    if raw:
        session.raw([info], raw)
        return
    what = [field.name for request in info.requests for field, _ in request.ListFields()]
    session.details(
        [
            ("ID", info.transaction.id),
            ("Started", session.when(full)(info.started)),
            ("Requests", "".join(f"\n  {one}" for one in what) or "none"),
        ]
    )


@command()
@page_options
@raw_options
@full_timestamps_option
@pass_session
def list_(session: Session, number: int | None, after: str | None, raw: str, full: bool) -> None:
    """List the transactions that are not finished."""
    answer = session.client_outside.transactions.ListTransaction(transactions.ListTransactionRequest())
    infos = page(answer.transaction_info, number, after, lambda info: info.transaction.id)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    session.table(_HEADER, ((one.transaction.id, when(one.started), str(len(one.requests))) for one in infos))


def _open(session: Session, id: str | None) -> str:
    if id is not None:
        if not is_id(id):
            raise InvalidArgument(f'"{id}" is no id of a transaction (32 hex digits); see `pachctl list transaction`')
        return id
    if not session.context.transaction:
        raise FailedPrecondition("no transaction is open; start one with `pachctl start transaction`")
    return session.context.transaction


def _look(session: Session, id: str) -> transactions.TransactionInfo:
    request = transactions.InspectTransactionRequest(transaction=transactions.Transaction(id=id))
    return session.client_outside.transactions.InspectTransaction(request)


def _context(session: Session) -> Context:
    """The context that remembers which transaction is open."""
    if session.context.name == ADDRESS:
        raise FailedPrecondition(
            f"{ADDRESS} names another server than the active context, which remembers the open transaction; "
            "make a context for it with `pachctl connect`"
        )
    return session.config.active_to_change()


def _remember(session: Session, id: str) -> None:
    _context(session).set("active_transaction", id)
    session.config.save()


def _forget(session: Session, id: str) -> None:
    if session.context.transaction == id:
        _remember(session, "")
