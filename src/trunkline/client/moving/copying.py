"""Repos copied out of a server that runs, Pachyderm or this one, commit by commit: it is asked by public calls alone.

Each commit arrives whole, under its own id, or not at all. So a copy that was cut off is begun again and goes on, and a
copy that is repeated brings what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from trunkline.client.connection import Client
from trunkline.client.moving.changes import Told, at, edits_of
from trunkline.errors import DataLoss, FailedPrecondition, NotFound, TrunklineError
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

PROVENANCE = "provenance"
"""In a commit's metadata: what it was derived from there."""


@dataclass(slots=True)
class Copied:
    """One repo, copied. had: commits that were here before. notes: what is not as it is there, a sentence each."""

    repo: pfs.Repo
    commits: int = 0
    had: int = 0
    branches: int = 0
    size_bytes: int = 0
    notes: list[str] = field(default_factory=list)


def repos_of(source: Client, project: str, names: Sequence[str]) -> list[pfs.RepoInfo]:
    """The user repos of a project ("": of all) with these names (none: all). Raises NotFound."""
    request = pfs.ListRepoRequest(type="user", projects=[pfs.Project(name=project)] if project else [])
    found = [info for info in source.pfs.ListRepo(request) if not names or info.repo.name in names]
    lacking = set(names) - {info.repo.name for info in found}
    if lacking:
        where = f"project {project} of the source" if project else "the source"
        raise NotFound(f"{where} has no repo {', '.join(sorted(lacking))}")
    if not found:
        raise NotFound(f"{f'project {project} of the source' if project else 'the source'} has no repos to copy")
    return sorted(found, key=lambda info: (info.repo.project.name, info.repo.name))


class Copying:
    """Repos from one server into another. told: each further count of bytes."""

    def __init__(self, source: Client, target: Client, told: Told) -> None:
        self._source, self._target, self._told = source, target, told

    def copy(self, info: pfs.RepoInfo) -> Copied:
        """One repo: commits, then branches; then both servers must say the same of it.

        Raises FailedPrecondition where a branch went on by itself here, DataLoss where something differs, and what the
        servers refuse.
        """
        done = Copied(info.repo)
        self._make(info)
        theirs = {one.commit.id: one for one in self._source.pfs.ListCommit(_all(info.repo))}
        mine = {one.commit.id for one in self._target.pfs.ListCommit(_all(info.repo))}
        branches = list(self._source.pfs.ListBranch(pfs.ListBranchRequest(repo=info.repo)))
        self._must_follow(info.repo, branches, theirs)
        unfinished = [one for one in theirs.values() if not one.HasField("finished")]
        if unfinished:
            done.notes.append(f"commits that are not finished there are left out: {len(unfinished)}")
        order = [one for one in _oldest_first(theirs) if one.HasField("finished")]
        new = [one for one in order if one.commit.id not in mine]
        done.had = len(order) - len(new)
        for one in new:
            done.size_bytes += self._commit(one, theirs)
            done.commits += 1
        self._branches(branches, theirs, done)
        self._compare(info.repo, branches, theirs, {one.commit.id for one in new})
        return done

    # --- making

    def _make(self, info: pfs.RepoInfo) -> None:
        project = info.repo.project
        try:
            self._target.pfs.InspectProject(pfs.InspectProjectRequest(project=project))
        except NotFound:
            told = self._source.pfs.InspectProject(pfs.InspectProjectRequest(project=project))
            self._target.pfs.CreateProject(pfs.CreateProjectRequest(project=project, description=told.description))
        try:
            self._target.pfs.InspectRepo(pfs.InspectRepoRequest(repo=info.repo))
        except NotFound:
            self._target.pfs.CreateRepo(pfs.CreateRepoRequest(repo=info.repo, description=info.description))

    def _must_follow(
        self, repo: pfs.Repo, branches: Sequence[pfs.BranchInfo], theirs: dict[str, pfs.CommitInfo]
    ) -> None:
        names = {one.branch.name for one in branches}
        for one in self._target.pfs.ListBranch(pfs.ListBranchRequest(repo=repo)):
            if one.branch.name in names and one.head.id not in theirs:
                raise FailedPrecondition(
                    f"branch {one.branch.name} of {repo.project.name}/{repo.name} has commits of its own here, such as "
                    f"{one.head.id}: nothing is copied over it; delete the repo here, or rename the branch there"
                )

    def _commit(self, info: pfs.CommitInfo, theirs: dict[str, pfs.CommitInfo]) -> int:
        parent = _nearest(info, theirs, lambda one: one.HasField("finished"))
        base = _nearest(info, theirs, lambda one: one.HasField("finished") and not one.error)
        metadata = dict(info.metadata)
        above = [f"{nouns.repo_of(up.repo)}@{up.id}" for up in info.direct_provenance]
        if above:
            metadata.setdefault(PROVENANCE, " ".join(sorted(above)))
        commit = own.AdoptedCommit(
            commit=pfs.Commit(repo=info.commit.repo, id=info.commit.id, branch=info.commit.branch),
            parent=parent.commit if parent is not None else None,
            origin=info.origin.kind,
            started=info.started,
            finished=info.finished,
            description=info.description,
            error=info.error,
            metadata=metadata,
        )
        broken: list[Exception] = []
        base_commit = base.commit if base is not None else None
        try:
            messages = self._messages(commit, info, base_commit, broken)
            return int(self._target.moving.AdoptCommit(messages).size_bytes)
        except TrunklineError:
            if broken:
                raise broken[0] from None
            raise

    def _messages(
        self, commit: own.AdoptedCommit, info: pfs.CommitInfo, base: pfs.Commit | None, broken: list[Exception]
    ) -> Iterator[own.AdoptCommitRequest]:
        yield own.AdoptCommitRequest(commit=commit)
        if info.error:
            return  # whatever it holds, nothing is built on it
        try:
            for edit in edits_of(self._source, info, base, self._told):
                yield own.AdoptCommitRequest(edit=edit)
        except Exception as error:  # gRPC keeps it to itself
            broken.append(error)
            raise

    def _branches(self, branches: Sequence[pfs.BranchInfo], theirs: dict[str, pfs.CommitInfo], done: Copied) -> None:
        for one in branches:
            head = theirs.get(one.head.id)
            if head is not None and not head.HasField("finished"):
                head = _nearest(head, theirs, lambda each: each.HasField("finished"))
            if head is None:
                done.notes.append(f"branch {one.branch.name} has no finished commit there, and is left out")
                continue
            if one.direct_provenance:
                done.notes.append(
                    f"branch {one.branch.name} is derived from others there, as an output of a pipeline is, and is one "
                    "of its own here; pipelines are not copied"
                )
            request = pfs.CreateBranchRequest(branch=one.branch, head=head.commit)
            self._target.pfs.CreateBranch(request)
            done.branches += 1

    # --- comparing

    def _compare(
        self,
        repo: pfs.Repo,
        branches: Sequence[pfs.BranchInfo],
        theirs: dict[str, pfs.CommitInfo],
        new: set[str],
    ) -> None:
        """Sizes of all that came, and every path of the heads."""
        for one in new:
            if theirs[one].error:
                continue
            named = pfs.Commit(repo=repo, id=one)
            request = pfs.InspectCommitRequest(commit=named, wait=pfs.FINISHED)
            here, there = self._target.pfs.InspectCommit(request), theirs[one]
            if here.error or here.details.size_bytes != there.details.size_bytes:
                raise DataLoss(
                    f"commit {repo.name}@{one} has {there.details.size_bytes} bytes there and "
                    f"{here.details.size_bytes} here{': ' if here.error else ''}{here.error}"
                )
        for head in {one.head.id for one in branches if one.head.id in theirs}:
            info = theirs[head]
            if info.HasField("finished") and not info.error:
                self._compare_trees(pfs.Commit(repo=repo, id=head))

    def _compare_trees(self, commit: pfs.Commit) -> None:
        here, there = _paths(self._target, commit), _paths(self._source, commit)
        while True:
            one, other = next(here, None), next(there, None)
            if one != other:
                what = f"{other or 'nothing'} there and {one or 'nothing'} here"
                raise DataLoss(f"commit {commit.repo.name}@{commit.id} differs: {what}")
            if one is None:
                return


def _all(repo: pfs.Repo) -> pfs.ListCommitRequest:
    return pfs.ListCommitRequest(repo=repo, all=True)


def _paths(client: Client, commit: pfs.Commit) -> Iterator[tuple[str, int]]:
    """Every file of a commit, with its size."""
    try:
        for info in client.pfs.WalkFile(pfs.WalkFileRequest(file=at(commit, "/"))):
            if info.file_type == pfs.FILE:
                yield info.file.path, info.size_bytes
    except NotFound:  # an empty commit has no top
        return


def _nearest(
    info: pfs.CommitInfo, theirs: dict[str, pfs.CommitInfo], good: Callable[[pfs.CommitInfo], bool]
) -> pfs.CommitInfo | None:
    """The nearest ancestor that is good."""
    one = theirs.get(info.parent_commit.id)
    while one is not None and not good(one):
        one = theirs.get(one.parent_commit.id)
    return one


def _oldest_first(theirs: dict[str, pfs.CommitInfo]) -> list[pfs.CommitInfo]:
    """All commits, each behind its parent."""
    order: dict[str, pfs.CommitInfo] = {}
    for newest in reversed(theirs.values()):
        line: list[pfs.CommitInfo] = []
        one: pfs.CommitInfo | None = newest
        while one is not None and one.commit.id not in order:
            line.append(one)
            one = theirs.get(one.parent_commit.id)
        order.update((each.commit.id, each) for each in reversed(line))
    return list(order.values())
