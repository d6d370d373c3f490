"""Calls that change repos, branches, commits and files, each told to a server and to the model beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.empty_pb2 import Empty
from pfs_change import Change, Refused, play
from pfs_model import SPANS, At, Commit, Tree, Trigger, collides
from pfs_played import Played, Server, outcome, repo_of

from trunkline.pfs import edits
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.testing.calls import add, bulk, delete
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

Luck = Any
"""What `trunkline.ambient.chance` gives."""

NAMES = ("default/a", "default/b", "default/c", "other/o")
BRANCHES = ("master", "side", "late")
PATHS = ("/a", "/b", "/d/a", "/d/b", "/d/e/x", "/z")
FOLDERS = ("/", "/d/", "/d/e/")


def data_of(luck: Luck) -> bytes:
    """A few bytes, or the many of one of a few files, or some that nothing else has."""
    if luck.random() < 0.2:
        return luck.randbytes(900)
    return luck.randbytes(luck.randrange(9)) if luck.random() < 0.6 else bytes([luck.randrange(4)]) * 70_000


def edits_of(luck: Luck) -> list[tuple[str, str, bytes | None]]:
    """A few edits of files."""
    found: list[tuple[str, str, bytes | None]] = []
    for _ in range(luck.randint(1, 4)):
        what = luck.choices(["put", "append", "delete", "clear"], [6, 3, 2, 1])[0]
        path = luck.choice(FOLDERS if what == "clear" else PATHS)
        found.append((what, path, data_of(luck) if what in ("put", "append") else None))
    return found


def repo_msg(name: str) -> pfs.Repo:
    project, repo = name.split("/")
    return pfs.Repo(name=repo, type="user", project=pfs.Project(name=project))


def branch_msg(at: At) -> pfs.Branch:
    return pfs.Branch(repo=repo_msg(at[0]), name=at[1])


def head_msg(at: At) -> pfs.Commit:
    return pfs.Commit(branch=branch_msg(at))


def write_of(what: str, path: str, data: bytes | None):
    """What one edit makes of a tree."""
    match what:
        case "put":
            return lambda tree: tree | {path: data}
        case "append":
            return lambda tree: tree | {path: tree.get(path, b"") + data}
        case "delete":
            return lambda tree: {name: kept for name, kept in tree.items() if name != path}
        case _:
            return lambda tree: {name: kept for name, kept in tree.items() if not name.startswith(path)}


def sent(changes) -> Iterator[pfs.ModifyFileRequest]:
    for what, path, data in changes:
        match what:
            case "put":
                yield from (delete(path), add(path, b""), add(path, data[: len(data) // 2]))
                yield add(path, data[len(data) // 2 :])
            case "append":
                yield add(path, data)
            case _:
                yield delete(path)


def repo_picker(name: str) -> pfs.RepoPicker:
    project, repo = name.split("/")
    return pfs.RepoPicker(name=pfs.RepoPicker.RepoName(project=pfs.ProjectPicker(name=project), name=repo, type="user"))


class Calls:
    """Repos of two projects with a few branches each."""

    def __init__(self, server: Server) -> None:
        self.server, self.pfs = server, server.pfs
        self.played = Played(server)
        self.lent: list[tuple[str, Tree]] = []
        for name in NAMES[:3]:
            self.played.do(
                lambda name=name: self.pfs.CreateRepo(pfs.CreateRepoRequest(repo=repo_msg(name))),
                lambda change, name=name: change.create_repo(name),
            )

        for at in (("default/a", "master"), ("default/a", "side"), ("default/b", "master"), ("default/b", "late")):
            self._branched(at)
        self._branched(("default/c", "master"), [("default/a", "side"), ("default/b", "master")])

    def _branched(self, at: At, ups: Sequence[At] = ()) -> None:
        request = pfs.CreateBranchRequest(branch=branch_msg(at), provenance=map(branch_msg, ups))
        self.played.do(lambda: self.pfs.CreateBranch(request), lambda change: change.create_branch(at, ups=ups))

    @property
    def world(self):
        return self.played.world

    def at(self, luck: Luck) -> At:
        """A branch, mostly one that there is."""
        known = list(self.world.branches)
        return luck.choice(known) if known and luck.random() < 0.7 else (luck.choice(NAMES), luck.choice(BRANCHES))

    def picked(self, luck: Luck, repo: str = "") -> Commit | None:
        """A commit, if there is one, of a repo if that is given."""
        known = [one for one in self.world.commits.values() if repo in ("", one.repo)]
        return luck.choice(known) if known else None

    def named(self, number: int) -> pfs.Commit:
        one = self.world.commits[number]
        return pfs.Commit(repo=repo_msg(one.repo), id=one.id)

    # --- projects and repos

    def project(self, luck: Luck) -> None:
        gone, update = luck.random() < 0.3, luck.random() < 0.3
        name, text = luck.choice(["other", "other", "other", "default"]), luck.choice(["", "one", "two"])
        at = pfs.Project(name=name)
        if gone:
            request = pfs.DeleteProjectRequest(project=at)
            self.played.do(lambda: self.pfs.DeleteProject(request), lambda change: change.delete_project(name))
        else:
            new = pfs.CreateProjectRequest(project=at, description=text, update=update)
            self.played.do(
                lambda: self.pfs.CreateProject(new), lambda change: change.create_project(name, text, update)
            )

    def repo(self, luck: Luck) -> None:
        name, update, text = luck.choice(NAMES), luck.random() < 0.5, luck.choice(["", "one", "two"])
        request = pfs.CreateRepoRequest(repo=repo_msg(name), update=update, description=text)
        self.played.do(lambda: self.pfs.CreateRepo(request), lambda change: change.create_repo(name, update, text))

    def delete_repo(self, luck: Luck) -> None:
        name, force = luck.choice(NAMES), luck.random() < 0.3
        self.played.do(
            lambda: self.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=repo_msg(name), force=force)),
            lambda change: change.delete_repo(name, force),
        )

    def delete_many(self, luck: Luck) -> None:
        if luck.random() < 0.5:
            self.played.do(lambda: self.pfs.DeleteAll(Empty()), lambda change: change.delete_all())
            return
        project = luck.choice(["default", "other"])
        gone = [repo for repo in self.world.repos if repo.startswith(f"{project}/")]
        request = pfs.DeleteReposRequest(projects=[pfs.Project(name=project)], force=True)

        def step(change: Change) -> None:
            for repo in gone:
                change.delete_repo(repo, True)

        self.played.do(lambda: self.pfs.DeleteRepos(request), step)

    # --- branches

    def branch(self, luck: Luck) -> None:
        """Make or move a branch; its provenance goes."""
        at = self.at(luck)
        head = self.picked(luck, at[0]) if luck.random() < 0.7 else None
        request = pfs.CreateBranchRequest(branch=branch_msg(at), head=self.named(head.number) if head else None)
        number = head.number if head else None
        self.played.do(lambda: self.pfs.CreateBranch(request), lambda change: change.create_branch(at, number))

    def provenance(self, luck: Luck) -> None:
        at, ups = self.at(luck), [self.at(luck) for _ in range(luck.randint(1, 2))]
        self._branched(at, ups)

    def trigger(self, luck: Luck) -> None:
        at = self.at(luck)
        conditions: dict[str, Any] = {"size": luck.choice([0, 5, 70_000]), "commits": luck.choice([0, 1, 2])}
        near = [name for repo, name in self.world.branches if repo == at[0] and name != at[1]]
        followed = luck.choice(near) if near and luck.random() < 0.8 else luck.choice(BRANCHES)
        if luck.random() < 0.3:
            conditions["rate"] = luck.choice(list(SPANS))
        if luck.random() < 0.3:
            conditions = {"cron": luck.choice(list(SPANS))} | ({"commits": 1} if luck.random() < 0.1 else {})
        trigger = Trigger(followed, **conditions, all=luck.random() < 0.3 and "cron" not in conditions)
        said = pfs.Trigger(
            branch=trigger.branch,
            size=str(trigger.size or ""),
            commits=trigger.commits,
            all=trigger.all,
            rate_limit_spec=trigger.rate,
            cron_spec=trigger.cron,
        )

        def step(change: Change):
            if not trigger.valid:
                raise Refused
            change.create_branch(at, trigger=trigger)

        request = pfs.CreateBranchRequest(branch=branch_msg(at), trigger=said)
        self.played.do(lambda: self.pfs.CreateBranch(request), step)

    def delete_branch(self, luck: Luck) -> None:
        at, force = self.at(luck), luck.random() < 0.3
        request = pfs.DeleteBranchRequest(branch=branch_msg(at), force=force)
        self.played.do(lambda: self.pfs.DeleteBranch(request), lambda change: change.delete_branch(at, force))

    def later(self, luck: Luck) -> None:
        """Schedules tick, and file sets that nobody has renewed end."""
        self.played.later(luck.choice([400, 400, 1200, 1800, 3600]))
        self.forget_ended_leases()

    def forget_ended_leases(self) -> None:
        """File sets that are gone are lent no more; the others are renewed."""
        left = []
        for lease, tree in self.lent:
            request = pfs.RenewFileSetRequest(file_set_id=lease, ttl_seconds=1800)
            if outcome(lambda request=request: self.pfs.RenewFileSet(request))[1] is None:
                left.append((lease, tree))
        self.lent[:] = left

    # --- commits

    def start(self, luck: Luck) -> None:
        at = self.at(luck)
        above = self.picked(luck, at[0]) if luck.random() < 0.2 else None
        request = pfs.StartCommitRequest(branch=branch_msg(at), parent=self.named(above.number) if above else None)
        number = above.number if above else None
        self.played.do(lambda: self.pfs.StartCommit(request), lambda change: change.start(at, number))

    def finish(self, luck: Luck) -> None:
        known = [one for one in self.world.commits.values() if one.state == "open"]
        one = luck.choice(known) if known else self.picked(luck)
        error, force = luck.random() < 0.2, luck.random() < 0.8
        if one is not None:
            number, text = one.number, "it went wrong" if error else ""
            request = pfs.FinishCommitRequest(commit=self.named(number), error=text, force=force)
            self.played.do(lambda: self.pfs.FinishCommit(request), lambda change: change.finish(number, error, force))

    def clear(self, luck: Luck) -> None:
        known = [one for one in self.world.commits.values() if one.state == "open"]
        one = luck.choice(known) if known and luck.random() < 0.8 else self.picked(luck)
        if one is not None:
            request = pfs.ClearCommitRequest(commit=self.named(one.number))
            self.played.do(lambda: self.pfs.ClearCommit(request), lambda change: change.clear(one.number))

    def remove(self, luck: Luck) -> None:
        """Take a commit or a commit set out of history; more often one at a head."""
        world = self.world
        whole, recursive, verb = luck.random() < 0.3, luck.random() < 0.7, luck.choice(["squash", "squash", "drop"])
        fit = [each for each in world.commits.values() if bool(world.children(each.number)) == (verb == "squash")]
        fit = [each for each in fit if verb == "drop" or not world.heads_at(each.number)]
        one = luck.choice(fit) if fit and luck.random() < 0.8 else self.picked(luck)
        if one is None:
            return
        chosen = {other.number for other in world.commits.values() if other.id == one.id} if whole else {one.number}
        below = world.below(chosen)
        if below and recursive and not whole:
            chosen, below = chosen | below, set()
        bad = bool(below or chosen & set(world.tags.values()))
        ends = {number for number in chosen if not world.children(number)}
        standing = {child.number for number in chosen for child in world.children(number)} - chosen
        at_ease = all(other.state == "finished" and not other.error for other in world.commits.values())
        if verb == "squash":
            bad = bad or bool(ends) or any(world.heads_at(number) for number in chosen)
        else:
            bad = bad or bool(standing)
        step = (lambda change: change.squash(chosen)) if verb == "squash" else (lambda change: change.drop(chosen))
        if not bad:
            try:
                play(world, step)
            except Refused:
                bad = True
        sure = at_ease and not any(other.forgotten for other in world.commits.values())
        self.played.judged(
            lambda: self._remove(verb, self.named(one.number), whole, recursive), False if bad else sure or None, step
        )

    def _remove(self, verb, commit, whole, recursive):
        if whole and verb == "squash":
            self.pfs.SquashCommitSet(pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=commit.id)))
        elif whole:
            self.pfs.DropCommitSet(pfs.DropCommitSetRequest(commit_set=pfs.CommitSet(id=commit.id)))
        elif verb == "squash":
            self.pfs.SquashCommit(pfs.SquashCommitRequest(commit=commit, recursive=recursive))
        else:
            self.pfs.DropCommit(pfs.DropCommitRequest(commit=commit, recursive=recursive))

    def forget(self, luck: Luck) -> None:
        world = self.world
        known = [one for one in world.commits.values() if one.ups and not world.heads_at(one.number)]
        one = luck.choice(known) if known and luck.random() < 0.8 else self.picked(luck)
        if one is None:
            return
        number = one.number
        bad = not one.ups or one.state != "finished" or number in world.tags.values() or bool(world.heads_at(number))
        at_ease = all(other.state == "finished" and not other.error for other in world.commits.values())
        picker = pfs.CommitPicker(id=pfs.CommitPicker.CommitByGlobalId(repo=repo_picker(one.repo), id=one.id))
        self.played.judged(
            lambda: self.pfs.ForgetCommit(pfs.ForgetCommitRequest(commit=picker)),
            True if one.forgotten and not bad else False if bad else at_ease or None,
            lambda change: change.forget(number),
        )

    # --- files

    def put(self, luck: Luck) -> None:
        at, changes, fast = self.at(luck), edits_of(luck), luck.random() < 0.3
        writes = [write_of(*each) for each in changes]
        if fast:
            files = {path: data for what, path, data in changes if what == "put"}
            writes = [write_of("put", path, data) for path, data in files.items()]
            small = own.SmallFiles(paths=list(files), sizes=map(len, files.values()), data=b"".join(files.values()))
            call = lambda: self.server.client.bulk.BulkPut(bulk(head_msg(at), small))  # noqa: E731
        else:
            start = pfs.ModifyFileRequest(set_commit=head_msg(at))
            call = lambda: self.pfs.ModifyFile(iter([start, *sent(changes)]))  # noqa: E731
        self.played.do(call, lambda change: change.write(at, writes))

    def put_into(self, luck: Luck) -> None:
        """Into a commit by its id."""
        known = [one for one in self.world.commits.values() if one.state == "open"]
        one = luck.choice(known) if known and luck.random() < 0.8 else self.picked(luck)
        changes = edits_of(luck)
        if one is not None:
            start = pfs.ModifyFileRequest(set_commit=self.named(one.number))
            self.played.do(
                lambda: self.pfs.ModifyFile(iter([start, *sent(changes)])),
                lambda change: change.write_to(one.number, [write_of(*each) for each in changes]),
            )

    def put_both(self, luck: Luck) -> None:
        """A path that is file and directory: the commit has an error."""
        at, changes = self.at(luck), [("put", "/d", b"file"), ("put", "/d/a", b"below")]
        start = pfs.ModifyFileRequest(set_commit=head_msg(at))
        self.played.do(
            lambda: self.pfs.ModifyFile(iter([start, *sent(changes)])),
            lambda change: change.write(at, [write_of(*each) for each in changes]),
        )

    def put_output(self, luck: Luck) -> None:
        """What a pipeline does with its open output commit."""
        known = [
            at for at, one in self.world.branches.items() if one.ups and self.world.commits[one.head].state == "open"
        ]
        if known:
            (repo, name), changes = luck.choice(known), edits_of(luck)

            def stream():
                for what, path, data in changes:
                    if what in ("put", "delete", "clear"):
                        yield Delete(path)
                    if what in ("put", "append"):
                        yield Add(path, data)

            self.played.do(
                lambda: edits.modify(self.server.files, Target(repo_of(repo), branch=name), stream(), spout=True),
                lambda change: change.write((repo, name), [write_of(*each) for each in changes], True),
            )

    def copy(self, luck: Luck) -> None:
        at, source, append = self.at(luck), self.at(luck), luck.random() < 0.3
        path, to = luck.choice(PATHS), luck.choice(PATHS)
        branch = self.world.branches.get(source)
        tree = self.world.content(branch.head) if branch is not None else None
        if tree is None or collides(tree):
            return
        found = tree.get(path)
        message = pfs.CopyFile(dst=to, append=append, src=pfs.File(commit=head_msg(source), path=path))

        def step(change: Change):
            if found is None:
                raise Refused
            change.write(at, [write_of("append" if append else "put", to, found)])

        start = pfs.ModifyFileRequest(set_commit=head_msg(at))
        self.played.do(lambda: self.pfs.ModifyFile(iter([start, pfs.ModifyFileRequest(copy_file=message)])), step)
