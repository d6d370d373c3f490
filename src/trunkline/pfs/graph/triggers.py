"""Triggers: branches that follow another branch of their repo, when enough has come or when a schedule says so.

Conditions are looked at in the transaction that finishes a commit well; a branch that moves takes the commit itself as
its head, and may set off the next one of a chain. A schedule's ticks come from outside: each counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from trunkline.ambient import Micros
from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.branches import BranchRow
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import Trigger
from trunkline.model.names import Branch, check_branch
from trunkline.model.specs.cron import check_cron, next_tick
from trunkline.model.specs.scalars import size_bytes
from trunkline.pfs.graph.changes import Change

PAGE = 50
SCHEDULE_TOPIC = "schedule"
"""Events of this topic: {}; something was given a schedule, of branches or of anything else."""


def check(tx: Tx, repo_key: int, branch: Branch, trigger: Trigger) -> None:
    """Refuse a trigger that cannot be. Raises InvalidArgument, NotFound (the branch it follows), FailedPrecondition."""
    if not trigger.branch:
        raise InvalidArgument(f"the trigger of branch {branch} names no branch to follow; say which, with --trigger")
    check_branch(trigger.branch)
    for field, value, read in (
        ("size", trigger.size, size_bytes),
        ("rate_limit_spec", trigger.rate_limit_spec, check_cron),
        ("cron_spec", trigger.cron_spec, check_cron),
    ):
        _readable(branch, field, value, read)
    if trigger.commits < 0:
        raise InvalidArgument(f"the trigger of branch {branch} wants {trigger.commits} commits, a negative number")
    others = [name for name in ("size", "commits", "rate_limit_spec") if getattr(trigger, name)]
    if trigger.cron_spec and (others or trigger.all):
        raise InvalidArgument(
            f"the trigger of branch {branch} has cron_spec and {others[0] if others else 'all'}; "
            "a schedule cannot be combined with other conditions"
        )
    if not others and not trigger.cron_spec:
        raise InvalidArgument(
            f"the trigger of branch {branch} says no condition, so it would never fire; "
            "give --trigger-size, --trigger-commits or --trigger-cron"
        )
    _refuse_loop(tx, repo_key, branch, trigger)


def _readable(branch: Branch, field: str, value: str, read: Callable[[str], object]) -> None:
    try:
        if value:
            read(value)
    except ValueError as error:
        raise InvalidArgument(f'the trigger of branch {branch}: {field} "{value}": {error}') from None


def _refuse_loop(tx: Tx, repo_key: int, branch: Branch, trigger: Trigger) -> None:
    names = {row.branch.name: row for row in branch_rows.list_branches(tx, repo_key)}
    if trigger.branch not in names and trigger.branch != branch.name:
        at = f"{branch.repo.typed}@{trigger.branch}"
        raise NotFound(
            f"branch {branch} cannot follow {at}, which does not exist; "
            f"create it first with `pachctl create branch {at}`"
        )
    chain, name = [branch.name], trigger.branch
    while name not in chain:
        chain.append(name)
        above = names[name].trigger if name in names else None
        if above is None:
            return
        name = above.branch
    raise InvalidArgument(
        f"triggers cannot form a loop: in repo {branch.repo}, {' follows '.join([*chain, name])}; "
        "let one of them follow another branch"
    )


def put(tx: Tx, key: int, trigger: Trigger) -> None:
    """Give a branch a trigger that was checked. A schedule begins now."""
    due_us = next_tick(trigger.cron_spec, tx.now_us) if trigger.cron_spec else None
    branch_rows.set_trigger(tx, key, trigger, due_us)
    if due_us is not None:
        tx.emit(SCHEDULE_TOPIC, {})


def fire(change: Change, seq: int) -> None:
    """Move every branch that a commit sets off, now that it is finished. One with an error sets off nothing."""
    row = commit_rows.get_commit(change.tx, seq)
    if row is not None and not row.error:
        _follow(change, row, branch_rows.branches_with_head(change.tx, seq))


def _follow(change: Change, commit: CommitRow, moved: list[BranchRow]) -> None:
    """What the branches that have a new head set off in turn."""
    waiting = deque(moved)
    while waiting:
        source = waiting.popleft()
        for target in branch_rows.triggered_by(change.tx, source.repo_key, source.branch.name):
            if target.head != commit.seq and _holds(change.tx, target, commit):
                _move(change, target, commit)
                waiting.append(target)


def _move(change: Change, target: BranchRow, commit: CommitRow) -> None:
    branch_rows.set_head(change.tx, target.key, commit.seq)
    change.touch(target.key)
    change.spreads = True


def _holds(tx: Tx, target: BranchRow, commit: CommitRow) -> bool:
    trigger = target.trigger
    if trigger is None or trigger.cron_spec:
        return False
    conditions = _conditions(tx, trigger, target.head, commit)
    return all(conditions) if trigger.all else any(conditions)


def _conditions(tx: Tx, trigger: Trigger, head: int, commit: CommitRow) -> Iterator[bool]:
    """Each condition that is set, looked at only when it is asked for."""
    old = commit_rows.get_commit(tx, head)
    if trigger.size:
        before = 0 if old is None else old.size_upper_bytes if old.size_bytes is None else old.size_bytes
        yield (commit.size_bytes or 0) - before >= size_bytes(trigger.size)
    if trigger.rate_limit_spec:
        yield old is None or _rested(trigger.rate_limit_spec, old, commit)
    if trigger.commits:
        yield history_rows.count_since(tx, commit.seq, head, trigger.commits + 1) >= trigger.commits


def _rested(spec: str, old: CommitRow, commit: CommitRow) -> bool:
    """Whether a tick lies between the ends of two commits."""
    if old.finished_us is None or commit.finished_us is None:
        return False
    tick = next_tick(spec, old.finished_us)
    return tick is not None and tick < commit.finished_us


def due(tx: Tx, until_us: Micros) -> list[tuple[int, Micros]]:
    """A page of the ticks of branches' schedules that are due by an instant: branch key and tick."""
    return branch_rows.due_triggers(tx, until_us, PAGE)


def tick(change: Change, key: int, tick_us: Micros) -> bool:
    """A tick of a branch's schedule: the branch takes the newest good content of the one it follows.

    Answers whether it was due; each is once, and what a stopped server missed is one tick, since only the last counts.
    """
    tx = change.tx
    row = branch_rows.get_branches(tx, [key]).get(key)
    if row is None or row.trigger is None:
        return False
    due_us = next_tick(row.trigger.cron_spec, max(tick_us, tx.now_us))
    if not branch_rows.tick(tx, key, tick_us, due_us):
        return False
    source = branch_rows.find_branch(tx, Branch(row.branch.repo, row.trigger.branch))
    commit = _newest_good(tx, source.head) if source is not None else None
    if commit is not None and commit.seq != row.head:
        _move(change, row, commit)
        _follow(change, commit, [row])
    return True


def _newest_good(tx: Tx, head: int) -> CommitRow | None:
    """The nearest commit, from a head back, that is finished without error; None if its files were forgotten.

    What is older would be a step back, and what is made anew is newer.
    """
    start: int | None = head
    while start is not None:
        line = history_rows.line(tx, start, PAGE)
        found = next((row for row in line if row.finished and not row.error), None)
        if found is not None:
            return None if found.forgotten else found
        start = line[-1].parent
    return None


def let_go(tx: Tx, row: BranchRow, *, force: bool) -> None:
    """A branch is to be deleted: without `force` refused while others follow it, with it they follow nothing more."""
    followers = branch_rows.triggered_by(tx, row.repo_key, row.branch.name)
    if followers and not force:
        names = ", ".join(sorted(str(one.branch) for one in followers)[:5])
        raise FailedPrecondition(
            f"cannot delete branch {row.branch}: the triggers of {names} follow it; delete those first, or use --force"
        )
    for one in followers:
        branch_rows.set_trigger(tx, one.key, None)
