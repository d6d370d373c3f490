"""Write sessions: whatever makes a file set does so in one that is open, so that collection waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, update

from trunkline.catalog.engine.fixed import Fixed, given, some
from trunkline.catalog.engine.tx import Tx, slices
from trunkline.catalog.tables import awaited, collector, holders, pins, sessions
from trunkline.errors import Aborted

SESSION = "session"
"""The kind of holder that a session is; its key is the session's number."""

_TICK = select(collector.c.tick).scalar_subquery()
_NEW = insert(sessions).values(kind=given("of"), open=True, opened_us=given("now_us"))
_OPEN = Fixed(_NEW.values(renewed_tick=None).returning(sessions.c.gen))
_OPEN_LEASED = Fixed(_NEW.values(renewed_tick=_TICK).returning(sessions.c.gen))
_IS_OPEN = Fixed(select(sessions.c.open).where(sessions.c.gen == given("gen")))
_END = Fixed(update(sessions).where(sessions.c.gen.in_(some("gens"))).values(open=False))
_LET_GO = Fixed(delete(holders).where(holders.c.kind == SESSION, holders.c.key.in_(some("keys"))))
_AWAIT_NO_MORE = Fixed(delete(awaited).where(awaited.c.gen.in_(some("gens"))))


def open_session(tx: Tx, kind: str, *, leased: bool = False) -> int:
    """A new open session; commit it before its first look-up or upload. `kind` says for what, to people.

    leased: it is a worker's or that of one of several servers, which may vanish, and ends when it is not renewed;
    otherwise it ends with this process.
    Answers its number, the generation of what it uploads. A number is given once, ever.
    """
    new = _OPEN_LEASED if leased else _OPEN
    return int(tx.execute(new, {"of": kind, "now_us": tx.now_us}).scalar())


def is_open(tx: Tx, gen: int) -> bool:
    """Whether the session may still write."""
    return bool(tx.execute(select(sessions.c.open).where(sessions.c.gen == gen)).scalar())


def require_open(tx: Tx, gen: int) -> None:
    """Raises Aborted unless the session is open. What it has found or uploaded is worth nothing any more then."""
    if not tx.row((sessions,), gen, lambda: tx.execute(_IS_OPEN, {"gen": gen}).scalar() or None):
        raise Aborted(f"write session {gen} has ended (it was closed, or not renewed in time); start the write again")


def end_session(tx: Tx, gen: int) -> None:
    """End a session and let go of what it alone held. Ending one that has ended does nothing."""
    end_sessions(tx, [gen])


def end_sessions(tx: Tx, gens: Sequence[int]) -> None:
    """End several sessions."""
    for page in map(list, slices(gens)):
        tx.execute(_END, {"gens": page})
        tx.execute(_LET_GO, {"keys": [str(gen) for gen in page]})
        tx.execute(_AWAIT_NO_MORE, {"gens": page})


def end_all(tx: Tx) -> None:
    """End every session and pin: called when the only process that can have had some is known to be dead."""
    # Looked for first: where there is nothing to end, a server must be able to start on a full disk.
    alive = tx.execute(select(sessions.c.gen).where(sessions.c.open)).scalars()
    if alive:
        end_sessions(tx, alive)
    if tx.execute(select(pins.c.process)).first() is not None:
        tx.execute(delete(pins))


def list_open(tx: Tx) -> list[tuple[int, str]]:
    """Number and kind of every open session, oldest first."""
    query = select(sessions.c.gen, sessions.c.kind).where(sessions.c.open).order_by(sessions.c.gen)
    return [(row.gen, row.kind) for row in tx.execute(query)]


def renew(tx: Tx, gens: Sequence[int]) -> set[int]:
    """Say that these sessions live. Answers the ones that are open; the others have been ended."""
    alive: set[int] = set()
    tick = select(collector.c.tick).scalar_subquery()
    for page in slices(gens):
        found = select(sessions.c.gen).where(sessions.c.gen.in_(page), sessions.c.open)
        alive.update(tx.execute(found).scalars())
        leased = sessions.c.gen.in_(page), sessions.c.open, sessions.c.renewed_tick < tick
        tx.execute(update(sessions).where(*leased).values(renewed_tick=tick))
    return alive


def needs_ticks(tx: Tx) -> bool:
    """Whether there is anything that ends when it is not renewed."""
    leased = select(sessions.c.gen).where(sessions.c.open, sessions.c.renewed_tick.is_not(None)).limit(1)
    return bool(tx.execute(leased).first() or tx.execute(select(pins.c.process).limit(1)).first())


def newest(tx: Tx) -> int:
    """The last number that was given to a session; 0: none was."""
    return int(tx.execute(select(func.coalesce(func.max(sessions.c.gen), 0))).scalar())


def tick(tx: Tx, allowance: int) -> list[int]:
    """Let the leader's clock go on by one, and end leased sessions and pins not renewed for `allowance` ticks.

    Ticks are counted while a leader runs; a clock that is set, or a machine that sleeps, ends nobody.
    Answers the sessions that were ended.
    """
    now = tx.execute(update(collector).values(tick=collector.c.tick + 1).returning(collector.c.tick)).scalar()
    late = select(sessions.c.gen).where(sessions.c.open, sessions.c.renewed_tick < now - allowance)
    ended = tx.execute(late).scalars()
    if ended:
        end_sessions(tx, ended)
    tx.execute(delete(pins).where(pins.c.renewed_tick < now - allowance))
    return ended


def forget_ended(tx: Tx, limit: int) -> int:
    """Delete up to `limit` rows of ended sessions, never the newest: it shows which numbers have been given.

    Answers how many were deleted.
    """
    newest = select(func.max(sessions.c.gen)).scalar_subquery()
    old = select(sessions.c.gen).where(sessions.c.open.is_(False), sessions.c.gen < newest).limit(limit)
    return tx.execute(delete(sessions).where(sessions.c.gen.in_(old))).rowcount


def ended_of(tx: Tx, gens: Sequence[int]) -> set[int]:
    """Which of these numbers were given to a session that has ended. One never given is not among them."""
    newest = tx.execute(select(func.coalesce(func.max(sessions.c.gen), 0))).scalar()
    alive = tx.execute(select(sessions.c.gen).where(sessions.c.open, sessions.c.gen.in_(gens))).scalars()
    return {gen for gen in gens if 0 < gen <= newest} - set(alive)


def pin(tx: Tx, process: str) -> int:
    """Have what this process reads stay, from now on. A pin in place stays as it is, however old.

    A read may start once the pin is committed and a later snapshot finds its file sets held. Answers where the pin is.
    """
    found = tx.execute(select(pins.c.since).where(pins.c.process == process)).scalar()
    if found is not None:
        return int(found)
    row = tx.execute(select(collector.c.doomed_through, collector.c.tick)).one()
    tx.execute(insert(pins).values(process=process, since=row.doomed_through, renewed_tick=row.tick))
    return int(row.doomed_through)


def doomed_through(tx: Tx) -> int:
    """The newest complete doom: what a read that starts in this snapshot has to be pinned at."""
    return int(tx.execute(select(collector.c.doomed_through)).scalar())


def move_pin(tx: Tx, process: str, since: int) -> bool:
    """Move a process's pin forward to where its oldest running read began, and renew it. False: it was ended."""
    tick = select(collector.c.tick).scalar_subquery()
    change = update(pins).where(pins.c.process == process, pins.c.since <= since)
    return tx.execute(change.values(since=since, renewed_tick=tick)).rowcount > 0


def unpin(tx: Tx, process: str) -> None:
    """Nothing is read by this process any more."""
    tx.execute(delete(pins).where(pins.c.process == process))
