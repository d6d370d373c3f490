"""Commits taken out of history: squashed (what follows keeps its content), dropped with their data, forgotten.

A pipeline's output and meta commit of one id are one thing: whatever is done to one is done to both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.branches import BranchRow
from trunkline.catalog.collection import filesets
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.versions import tags as tag_rows
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import CommitState, Origin
from trunkline.model.names import SPEC_REPO, Commit, Repo, is_id
from trunkline.pfs.graph import history
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.history import DIFF_HOLDER, RUNS_HOLDER
from trunkline.pfs.graph.refs import has_pipeline, need_commit, need_row, refuse_purging

NAMED = 3
"""How many commits a refusal names."""


def squash_set(change: Change, set_id: str) -> list[int]:
    """Remove a commit set; what follows keeps its content. Answers the seqs of commits whose diff has grown by it.

    Raises NotFound, FailedPrecondition.
    """
    return _squash(change, _whole_set(change.tx, set_id, "squash"))


def squash_commit(change: Change, repo: Repo, ref: str, *, recursive: bool = False) -> list[int]:
    """Remove one commit, and with `recursive` all that is made from it; what follows keeps its content.

    Answers the seqs of commits whose diff has grown by it. Raises NotFound, FailedPrecondition.
    """
    return _squash(change, _one(change.tx, repo, ref, "squash", recursive))


def drop_set(change: Change, set_id: str) -> None:
    """Remove a commit set with its data; branches fall back. Raises NotFound, FailedPrecondition."""
    rows = _whole_set(change.tx, set_id, "delete")
    _drop(change, rows)


def drop_commit(change: Change, repo: Repo, ref: str, *, recursive: bool = False) -> None:
    """Remove one commit, and with `recursive` all that is made from it, with the data; branches fall back.

    Raises NotFound, FailedPrecondition.
    """
    _drop(change, _one(change.tx, repo, ref, "delete", recursive))


# --- what is meant


def _whole_set(tx: Tx, set_id: str, verb: str) -> list[CommitRow]:
    if not is_id(set_id):
        raise InvalidArgument(f'"{set_id}" is not the id of a commit set: 32 hex digits are expected')
    rows = commit_rows.commits_of_set(tx, set_id)
    if not rows:
        raise NotFound(f"commit set {set_id} not found")
    _refuse_versions(tx, rows, verb)
    below = history_rows.subvenant(tx, [row.seq for row in rows])
    if below:
        raise FailedPrecondition(
            f"cannot {verb} commit set {set_id}: {_named(tx, below)} {_are(below)} made from it and of another set; "
            f"{verb} that first, or use `pachctl {verb} commitV2 {_short(rows[0].commit)} --recursive`"
        )
    return rows


def _one(tx: Tx, repo: Repo, ref: str, verb: str, recursive: bool) -> list[CommitRow]:
    row = _exactly(tx, repo, ref)
    _refuse_versions(tx, [row], verb)
    chosen = _with_twins(tx, {row.seq})
    below = history_rows.subvenant(tx, chosen)
    if below and not recursive:
        raise FailedPrecondition(
            f"cannot {verb} {row.commit}: {_named(tx, below)} {_are(below)} made from it; "
            f"add --recursive to {verb} that as well"
        )
    if below:
        chosen = _with_twins(tx, chosen | below)
    rows = commit_rows.get_commits(tx, chosen)
    return [rows[seq] for seq in sorted(rows)]


def _exactly(tx: Tx, repo: Repo, ref: str) -> CommitRow:
    """The commit named, not one that an id stands for because it is in its set's provenance."""
    row = need_commit(tx, repo, ref)
    if is_id(ref) and row.commit.id != ref:
        raise NotFound(f"commit {repo}@{ref} not found: that set has no commit of {repo}, it reads {row.commit}")
    return row


def _with_twins(tx: Tx, seqs: set[int]) -> set[int]:
    """With the meta commits of output commits, and the other way round."""
    found = commit_rows.get_commits(tx, history_rows.twins(tx, seqs))
    return seqs | {seq for seq, row in found.items() if row.commit.repo.type != SPEC_REPO}


def _refuse_versions(tx: Tx, rows: Iterable[CommitRow], verb: str) -> None:
    for row in rows:
        repo = row.commit.repo
        if repo.type == SPEC_REPO and has_pipeline(tx, repo):
            raise FailedPrecondition(
                f"cannot {verb} {row.commit}: it is a version of the pipeline {repo.project}/{repo.name}, which is "
                f"known by it; a pipeline's versions go with it by `pachctl delete pipeline {repo.name}`"
            )


def _refuse_tagged(tx: Tx, rows: Iterable[CommitRow], verb: str) -> None:
    """A tag stands for files that are to stay as they are."""
    by_seq = {row.seq: row for row in rows}
    for tag in tag_rows.tags_of(tx, by_seq):
        repo = tag.tag.repo
        raise FailedPrecondition(
            f"cannot {verb} {by_seq[tag.commit_seq].commit}: the tag {tag.tag.name} keeps it; delete that first with "
            f"`pachctl delete tag {repo.name}@{tag.tag.name} --project {repo.project}`"
        )


def _named(tx: Tx, seqs: Iterable[int]) -> str:
    wanted = sorted(seqs)
    rows = commit_rows.get_commits(tx, wanted[:NAMED])
    names = ", ".join(str(rows[seq].commit) for seq in sorted(rows))
    return names if len(wanted) <= NAMED else f"{names} and {len(wanted) - NAMED} more"


def _are(seqs: set[int]) -> str:
    return "is" if len(seqs) == 1 else "are"


def _short(commit: Commit) -> str:
    return f"{commit.repo.typed}@{commit.id}"


# --- squash


def _squash(change: Change, rows: Sequence[CommitRow]) -> list[int]:
    tx = change.tx
    seqs = {row.seq for row in rows}
    refuse_purging(tx, {row.repo_key for row in rows})
    _refuse_versions(tx, rows, "squash")
    _refuse_tagged(tx, rows, "squash")
    for seq in sorted(history_rows.loose_ends(tx, seqs)):
        commit = need_row(tx, seq).commit
        raise FailedPrecondition(
            f"cannot squash {commit}: no commit follows it that could keep its data; "
            "remove it together with its data by `pachctl delete commit`"
        )
    for branch, head in _heads(tx, seqs):
        raise FailedPrecondition(
            f"cannot squash {head.commit}: branch {branch.branch} points to it; move that first with "
            f"`pachctl create branch {branch.branch.repo.typed}@{branch.branch.name} --head REF`"
        )
    _refuse_unfinished(tx, rows, "squash")
    grown = {above for row in rows for above in _hand_on(tx, row.seq)}
    for row in rows:
        history_rows.relink(tx, row.seq, need_row(tx, row.seq).parent)
    _remove(change, rows)
    return sorted(grown - seqs)


def set_settles(tx: Tx, set_id: str) -> CommitRow | None:
    """A commit that stands on this set and is being finished, so that a squash is worth waiting for it."""
    return _settles(tx, commit_rows.commits_of_set(tx, set_id) if is_id(set_id) else [])


def commit_settles(tx: Tx, repo: Repo, ref: str) -> CommitRow | None:
    """A commit that stands on this one and is being finished, so that removing it is worth waiting for that."""
    row = need_commit(tx, repo, ref)
    below = history_rows.subvenant(tx, [row.seq])
    return _settles(tx, commit_rows.get_commits(tx, _with_twins(tx, {row.seq} | below)).values())


def _settles(tx: Tx, rows: Iterable[CommitRow]) -> CommitRow | None:
    standing, _ = _standing(tx, list(rows))
    return next((row for row in standing.values() if row.state is CommitState.FINISHING), None)


def _standing(tx: Tx, rows: Sequence[CommitRow]) -> tuple[dict[int, CommitRow], set[int]]:
    """Commits by seq that stand on these, and which of them have an error that what follows looks past."""
    seqs = {row.seq for row in rows}
    standing = commit_rows.get_commits(tx, set(history_rows.standing_on(tx, seqs)) - seqs)
    good = {row.seq for row in rows if not row.error}
    bad = {seq for seq, row in standing.items() if row.error and (row.parent in good or row.base in good)}
    layer = bad
    while layer:  # past failures, what follows builds on the good one before them
        found = {child for group in commit_rows.children(tx, layer).values() for child in group}
        beyond = commit_rows.get_commits(tx, found - seqs - standing.keys())
        standing |= beyond
        layer = {seq for seq, row in beyond.items() if row.error}
        bad |= layer
    return standing, bad


def _refuse_unfinished(tx: Tx, rows: Sequence[CommitRow], verb: str) -> None:
    """Refuse while something that stands on these still needs their content, or what comes next would."""
    seqs = {row.seq for row in rows}
    standing, bad = _standing(tx, rows)
    for row in standing.values():
        if not row.finished:
            raise FailedPrecondition(
                f"cannot {verb} {_named(tx, seqs)}: {row.commit}, which builds on it, is not finished yet; "
                f"wait for it with `pachctl wait commit {_short(row.commit)}`"
            )
    ends = history_rows.loose_ends(tx, bad) | {head for _, head in history_rows.branches_at(tx, bad)}
    for seq in sorted(ends):
        last = standing[seq].commit
        raise FailedPrecondition(
            f"cannot {verb} {_named(tx, seqs)}: {last} has an error, so that what comes after it will build on the "
            f"commit before; remove it first with `pachctl delete commitV2 {_short(last)} --recursive`"
        )


def _hand_on(tx: Tx, seq: int) -> list[int]:
    """Make the commits that are built on one stand on its base, with its diff below their own; those that are good.

    One with an error keeps its diff to itself: nothing is ever built on it.
    """
    row = need_row(tx, seq)
    above_it: list[int] = []
    if row.finished and not row.error:
        diff = commit_rows.layers(tx, seq)
        above_it = history_rows.built_on(tx, seq) if diff else []
        for above in above_it:
            filesets.share_all(tx, diff, DIFF_HOLDER, str(above))
            history_rows.prepend_layers(tx, above, diff)
    history_rows.rebase(tx, seq, row.base)
    return above_it


def _remove(change: Change, rows: Sequence[CommitRow]) -> None:
    seqs = [row.seq for row in rows]
    history.drop_commits(change.tx, seqs)
    change.removed(seqs)


# --- drop


def _drop(change: Change, rows: Sequence[CommitRow]) -> None:
    tx = change.tx
    seqs = {row.seq for row in rows}
    refuse_purging(tx, {row.repo_key for row in rows})
    _refuse_versions(tx, rows, "delete")
    _refuse_tagged(tx, rows, "delete")
    standing = set(history_rows.standing_on(tx, seqs)) - seqs
    if standing:
        raise FailedPrecondition(
            f"cannot delete {_named(tx, seqs)}: {_named(tx, standing)} {'follows' if len(standing) == 1 else 'follow'} "
            "it; delete what follows first, or keep the data and remove only the commit with `pachctl squash commit`"
        )
    made: dict[int, int] = {}
    for branch, head in _heads(tx, seqs):
        _fall_back(change, branch, head, seqs, made)
    _remove(change, rows)


def _heads(tx: Tx, seqs: set[int]) -> list[tuple[BranchRow, CommitRow]]:
    found = history_rows.branches_at(tx, seqs)
    rows = branch_rows.get_branches(tx, [key for key, _ in found])
    heads = commit_rows.get_commits(tx, [head for _, head in found])
    return [(rows[key], heads[head]) for key, head in found]


def _fall_back(change: Change, branch: BranchRow, head: CommitRow, gone: set[int], made: dict[int, int]) -> None:
    """Point a branch to the nearest commit before its head that stays, or to a fresh empty one."""
    tx = change.tx
    at: CommitRow | None = head
    while at is not None and at.seq in gone:
        at = commit_rows.get_commit(tx, at.parent) if at.parent is not None else None
    ups = branch_rows.get_branches(tx, branch_rows.direct_provenance(tx, branch.key)).values()
    output = any(up.branch.repo.type != SPEC_REPO for up in ups)
    if at is not None and at.forgotten and not output:
        raise FailedPrecondition(
            f"cannot delete {head.commit}: branch {branch.branch} would fall back to {at.commit}, whose files were "
            "forgotten; move the branch first"
        )
    if at is None and branch.repo_key not in made:
        made[branch.repo_key] = _fresh(change, branch, output)
    branch_rows.set_head(tx, branch.key, at.seq if at is not None else made[branch.repo_key])
    change.touch(branch.key, anew=at is not None and at.forgotten)


def _fresh(change: Change, branch: BranchRow, output: bool) -> int:
    """An empty head: of an output branch one whose job is still to come, so that it is left open."""
    repo = repo_rows.get_repos(change.tx, [branch.repo_key])[branch.repo_key]
    if output:
        return change.new_commit(repo, branch.branch.name, origin=Origin.AUTO, parent=None)
    return change.empty_head(repo, branch.branch.name)


# --- forget


def forget_commit(change: Change, repo: Repo, ref: str) -> None:
    """Give up the files of a finished output commit and keep its record, with a mark; commits after it are unchanged.

    Nothing happens to one that was forgotten before. Raises NotFound, FailedPrecondition.
    """
    tx = change.tx
    row = _exactly(tx, repo, ref)
    if not row.finished:
        raise FailedPrecondition(f"cannot forget {row.commit}: it is not finished yet")
    if not commit_rows.upstream_of(tx, [row.seq]):
        raise FailedPrecondition(
            f"cannot forget {row.commit}: it is not the output of a pipeline, so that nothing could make its files "
            "again; remove it with `pachctl delete commit` or `pachctl squash commit`"
        )
    refuse_purging(tx, [row.repo_key])
    rows = commit_rows.get_commits(tx, _with_twins(tx, {row.seq}))
    seqs = {seq for seq, one in rows.items() if not one.forgotten}
    _refuse_tagged(tx, rows.values(), "forget")
    for branch, head in _heads(tx, seqs):
        raise FailedPrecondition(
            f"cannot forget {head.commit}: branch {branch.branch} points to it and shows its files; "
            "it can be forgotten when a newer commit has followed"
        )
    below = {down for group in commit_rows.downstream_of(tx, seqs).values() for down in group}
    for reader in commit_rows.get_commits(tx, below).values():
        if not reader.finished:
            raise FailedPrecondition(f"cannot forget {row.commit}: {reader.commit} is being made from it")
    _refuse_unfinished(tx, [rows[seq] for seq in sorted(seqs)], "forget")
    for seq in sorted(seqs):
        _hand_on(tx, seq)
        for kind in (DIFF_HOLDER, RUNS_HOLDER):
            filesets.drop_holder(tx, kind, str(seq))
        history_rows.set_forgotten(tx, seq)
