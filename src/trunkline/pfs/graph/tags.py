"""Tags: made, moved on purpose only, listed, deleted. A tagged commit cannot be removed."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.catalog import branches as branch_rows
from trunkline.catalog.engine import Catalog, Tx
from trunkline.catalog.versions import tags as tag_rows
from trunkline.catalog.versions.tags import TagRow
from trunkline.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import USER_REPO, Branch, Repo, Tag, check_repo, check_tag
from trunkline.pfs.graph.refs import need_commit, need_repo, refuse_forgotten

PAGE = 500


def create_tag(tx: Tx, tag: Tag, ref: str, *, description: str = "", force: bool = False) -> TagRow:
    """Name the commit that `ref` means in the tag's repo. The same once more changes nothing.

    force: a tag of that name on another commit moves. Raises AlreadyExists without it, FailedPrecondition for a
    branch's name and for an open or forgotten commit, InvalidArgument, NotFound.
    """
    check_tag(tag.name)
    repo = need_repo(tx, tag.repo)
    if tag.repo.type != USER_REPO:
        raise InvalidArgument(f"cannot tag a commit of {tag.repo}: only repos of files have tags")
    if branch_rows.find_branch(tx, Branch(tag.repo, tag.name)) is not None:
        raise FailedPrecondition(f"cannot create the tag {tag}: a branch has that name; choose another name")
    row = need_commit(tx, tag.repo, ref)
    if row.open:
        raise FailedPrecondition(
            f"cannot tag {row.commit}: it is open, and a tag stands for files that stay as they are; finish it first "
            f"with `pachctl finish commit {tag.repo.typed}@{row.commit.id}`"
        )
    refuse_forgotten(row)
    known = tag_rows.find_tag(tx, tag)
    if known is not None and known.commit_seq != row.seq and not force:
        raise AlreadyExists(
            f"tag {tag} already exists, on commit {known.commit.id}; use --force to move it to {row.commit.id}"
        )
    if known is None or known.commit_seq != row.seq or (description and description != known.description):
        tag_rows.put_tag(tx, repo.key, tag.name, row.seq, description)
    return need_tag(tx, tag)


def need_tag(tx: Tx, tag: Tag) -> TagRow:
    """One tag. Raises NotFound, with those that the repo has."""
    check_tag(tag.name)
    row = tag_rows.find_tag(tx, tag)
    if row is None:
        names = [one.tag.name for one in tag_rows.list_tags(tx, 10, repo_key=need_repo(tx, tag.repo).key)]
        raise NotFound(f"tag {tag} not found; the repo has {', '.join(names) if names else 'no tags'}")
    return row


def delete_tag(tx: Tx, tag: Tag) -> None:
    """Remove a tag; its commit stays. Raises NotFound."""
    need_tag(tx, tag)
    tag_rows.delete_tag(tx, tag)


def list_tags(
    catalog: Catalog,
    *,
    repo: Repo | None = None,
    ref: str = "",
    number: int = 0,
    marker: Tag | None = None,
    reverse: bool = False,
) -> Iterator[TagRow]:
    """Tags by repo and name, page by page.

    repo, ref: only those of one repo, of one commit in it. number: at most so many; 0: all. marker: go on behind that
    tag, which need not be there (before it, in reverse). Raises InvalidArgument, NotFound.
    """
    if number < 0:
        raise InvalidArgument(f"number must be 0 (all) or more, not {number}")
    if marker is not None:
        check_repo(marker.repo.name)
        check_tag(marker.name)
    key = catalog.read(lambda tx: need_repo(tx, repo).key) if repo is not None else None
    seq = catalog.read(lambda tx: need_commit(tx, repo, ref).seq) if repo is not None and ref else None
    left, after = number or None, marker
    while left is None or left > 0:
        size = PAGE if left is None else min(left, PAGE)

        def page(tx: Tx, size: int = size, after: Tag | None = after) -> list[TagRow]:
            return tag_rows.list_tags(tx, size, repo_key=key, commit_seq=seq, after=after, reverse=reverse)

        rows = catalog.read(page)
        yield from rows
        if len(rows) < size:
            return
        after = rows[-1].tag
        left = None if left is None else left - size
