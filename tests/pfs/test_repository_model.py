"""The repository beside a model of plain dicts: random histories of two branches read back as the model says.

The model of a commit is {path: bytes}. Every finished commit is remembered and must read the same for ever (I-3).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from trunkline.ambient import SimulatedAmbient
from trunkline.api.transactions.members import Requests, members
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.purging.purges import GONE
from trunkline.errors import FailedPrecondition, NotFound
from trunkline.model.names import Branch, Commit, Repo, Tag
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.edits import Add, Copy, Delete, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, removal, repos, tags
from trunkline.pfs.graph.transactions import Transactions
from trunkline.pfs.merging.merge import Wish as Merge
from trunkline.pfs.merging.merge import merge_branch
from trunkline.pfs.merging.sides import Choice
from trunkline.pfs.purging.asking import Purging
from trunkline.pfs.purging.hits import no_lineage
from trunkline.pfs.purging.purger import Purger
from trunkline.pfs.purging.survey import Wish
from trunkline.pps.images.resolving import Rules
from trunkline.storage import Store, entries
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.catalogs import assert_sound, open_catalog
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import transaction_v2_pb2 as wire

REPO = Repo("default", "data")
PATHS = ["/a", "/b", "/d/a", "/d/b", "/d/e/x", "/d/e/y", "/z"]
FOLDERS = ["/", "/d/", "/d/e/"]
BYTES = st.one_of(st.binary(max_size=12), st.integers(0, 3).map(lambda n: bytes([n]) * 70_000))

EDIT = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(PATHS), BYTES),
    st.tuples(st.just("append"), st.sampled_from(PATHS), BYTES),
    st.tuples(st.just("delete"), st.sampled_from([*PATHS, *FOLDERS]), st.none()),
    st.tuples(st.just("copy"), st.sampled_from(PATHS), st.sampled_from(PATHS)),
)
EDITS = st.lists(EDIT, min_size=1, max_size=6)
BRANCHES = st.sampled_from(["master", "other"])


def in_model(tree, source, changes):
    """What edits make of a tree; copies are taken from `source`."""
    tree = dict(tree)
    for what, path, value in changes:
        if what == "put":
            tree[path] = value
        elif what == "append":
            tree[path] = tree.get(path, b"") + value
        elif what == "delete" and path.endswith("/"):
            tree = {kept: data for kept, data in tree.items() if not kept.startswith(path)}
        elif what == "delete":
            tree.pop(path, None)
        elif value in source:
            tree[path] = source[value]
    return tree


def as_edits(changes, source_ref, source):
    for what, path, value in changes:
        if what == "put":
            yield Delete(path)
            yield Add(path, b"")
            yield Add(path, value[: len(value) // 2])
            yield Add(path, value[len(value) // 2 :])
        elif what == "append":
            yield Add(path, value)
        elif what == "delete":
            yield Delete(path)
        elif value in source:  # a copy of what is not there is refused
            yield Copy(path, REPO, source_ref, value)


def without(tree, path):
    """A tree without a file, or a directory with all below it."""
    return {name: data for name, data in tree.items() if name != path and not name.startswith(f"{path}/")}


class RepoMachine(RuleBasedStateMachine):
    """One repo, two branches."""

    finished = Bundle("finished")

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        ambient = SimulatedAmbient(3)
        self.catalog = open_catalog(place / "data", ambient, rehearse=False)
        self.files = Files(self.catalog, Store(MemoryBlobs(), place / "cache", ambient), ambient)
        self.transactions = Transactions(self.files, Requests({one.name: one for one in members(Rules())}))
        self.catalog.transact(repos.ensure_default_project)
        self.catalog.transact(lambda tx: repos.create_repo(tx, REPO))
        self.trees: dict[str, dict[str, bytes]] = {}  # commit id -> content
        self.heads: dict[str, str] = {}  # branch -> id of its newest good commit
        self.open: dict[str, dict[str, bytes]] = {}  # branch -> content of its open commit
        self.gone: set[str] = set()  # ids of commits that were removed
        self.tags: dict[str, str] = {}  # name -> commit id
        self.pointed: dict[str, str] = {}  # branch -> id of the commit that it points to

    def teardown(self):
        if hasattr(self, "catalog"):
            assert_sound(self.catalog)
            self.catalog.close()
            self.folder.cleanup()

    def below(self, branch):
        return self.trees.get(self.heads.get(branch, ""), {})

    @rule(target=finished, branch=BRANCHES, changes=EDITS)
    def one_shot(self, branch, changes):
        """Edits straight to a branch: into its open commit, or a commit of their own."""
        source = self.heads.get(branch)
        under = self.open.get(branch, self.below(branch))
        tree = in_model(under, self.trees.get(source, {}), changes)
        commit = edits.modify(
            self.files, Target(REPO, branch=branch), as_edits(changes, source, self.trees.get(source, {}))
        )
        if branch in self.open:
            self.open[branch] = tree
            assert self.read(commit.id) == tree
            return ""
        finish_waiting(self.files)
        return self.remember(branch, commit.id, tree)

    @rule(branch=BRANCHES)
    def start(self, branch):
        """Open a commit that stays open."""
        if branch not in self.open:
            self.files.change(lambda change: commits.start_commit(change, Branch(REPO, branch)))
            self.open[branch] = self.below(branch)

    @rule(target=finished, branch=BRANCHES, error=st.booleans())
    def finish(self, branch, error):
        """Close it; with an error it can be read but nothing builds on it."""
        if branch not in self.open:
            return ""
        tree = self.open.pop(branch)
        text = "it went wrong" if error else ""
        commit = self.catalog.transact(lambda tx: commits.finish_commit(tx, REPO, branch, error=text))
        finish_waiting(self.files)
        if error:
            self.trees[commit.id] = tree
            return commit.id
        return self.remember(branch, commit.id, tree)

    @rule(branch=BRANCHES)
    def clear(self, branch):
        """Drop what an open commit has."""
        if branch in self.open:
            self.catalog.transact(lambda tx: commits.clear_commit(tx, REPO, branch))
            self.open[branch] = self.below(branch)

    @rule(branch=BRANCHES, commit=consumes(finished))
    def move(self, branch, commit):
        """Point a branch to any good commit of the past."""
        info = self.commit(commit) if commit else None
        if info is not None and not info.error and branch not in self.open:
            self.files.change(lambda change: branches.create_branch(change, Branch(REPO, branch), head=(REPO, commit)))
            self.heads[branch] = commit

    @rule(target=finished, branch=BRANCHES, moved=BRANCHES, commit=finished, ends=st.booleans())
    def together(self, branch, moved, commit, ends):
        """In one recorded transaction: a commit on one branch, while another moves to a good one. Or it is dropped."""
        info = self.commit(commit) if commit else None
        if info is None or info.error or branch == moved or {branch, moved} & self.open.keys():
            return ""
        at, before = pfs.Repo(name=REPO.name), self.catalog.read(lambda tx: commits.commit_page(tx, REPO))
        id = self.transactions.start().id
        for member in (
            {"start_commit": pfs.StartCommitRequest(branch=pfs.Branch(repo=at, name=branch))},
            {"finish_commit": pfs.FinishCommitRequest(commit=pfs.Commit(repo=at, id=id))},
            {
                "create_branch": pfs.CreateBranchRequest(
                    branch=pfs.Branch(repo=at, name=moved), head=pfs.Commit(repo=at, id=commit)
                )
            },
        ):
            self.transactions.append(id, wire.TransactionRequest(**member).SerializeToString())
        assert self.catalog.read(lambda tx: commits.commit_page(tx, REPO)) == before
        if not ends:
            self.transactions.delete(id)
            return ""
        tree = self.below(branch)
        self.transactions.finish(id)
        finish_waiting(self.files)
        self.heads[moved] = commit
        return self.remember(branch, id, tree)

    @rule(branch=BRANCHES, back=st.integers(0, 3), verb=st.sampled_from(["squash", "drop"]))
    def remove(self, branch, back, verb):
        """Take a commit out of history, if that is allowed; all others keep their content."""
        known = self.commit(f"{branch}^{back}" if back else branch)
        if known is None:
            return
        before = self.catalog.read(lambda tx: commits.commit_page(tx, REPO))
        remove = removal.squash_commit if verb == "squash" else removal.drop_commit
        try:
            self.files.change(lambda change: remove(change, REPO, known.commit.id))
        except FailedPrecondition:
            assert self.catalog.read(lambda tx: commits.commit_page(tx, REPO)) == before
            return
        if verb == "drop":
            assert not known.children
            self.fallen_back(known.commit.id)
        else:
            assert known.children
        self.gone.add(known.commit.id)
        assert known.commit.id not in self.tags.values()
        assert self.commit(known.commit.id) is None
        for child in known.children:
            assert self.commit(child.id).parent == known.parent

    def fallen_back(self, removed):
        """Branches that pointed to a dropped commit point to the one before, whose content is that below it."""
        for branch in ("master", "other"):
            now = self.commit(branch)
            if now is None:
                continue
            if self.pointed.get(branch) == removed:
                self.open.pop(branch, None)
                self.trees.setdefault(now.commit.id, {})  # a fresh empty head
                good = now
                while good.error:
                    good = self.commit(good.parent.id) if good.parent else None
                    if good is None:
                        break
                self.heads[branch] = good.commit.id if good else ""

    @rule(commit=finished, name=st.sampled_from(["v1", "v2"]))
    def tag(self, commit, name):
        """Name a commit; the name then means it, whatever happens."""
        if commit and self.commit(commit) is not None:
            self.catalog.transact(lambda tx: tags.create_tag(tx, Tag(REPO, name), commit, force=True))
            self.tags[name] = commit

    @rule(name=st.sampled_from(["v1", "v2"]))
    def untag(self, name):
        if self.tags.pop(name, None):
            self.catalog.transact(lambda tx: tags.delete_tag(tx, Tag(REPO, name)))

    @rule(path=st.sampled_from([*PATHS, "/d", "/d/e"]), killed=st.integers(0, 8))
    def purge(self, path, killed):
        """Take a path out of all history; the server may be killed on the way, and goes on."""
        purging = Purging(self.files, no_lineage)
        wish = Wish(REPO, path, tagged=True)
        try:
            id = purging.begin(wish)
        except NotFound:
            lost = [
                tree for commit, tree in self.trees.items() if commit not in self.gone and without(tree, path) != tree
            ]
            assert not lost
            return
        except FailedPrecondition:
            assert self.open
            return
        assert not self.open
        key = purging.inspect(id).row.key
        for number, _ in enumerate(Purger(self.files, no_lineage, Collector(self.files)).steps(key), 1):
            if number == killed:
                break
        for _ in Purger(self.files, no_lineage, Collector(self.files)).steps(key):
            pass
        assert purging.inspect(id).row.stage == GONE
        self.trees = {commit: without(tree, path) for commit, tree in self.trees.items()}
        assert list(fsck.violations(self.files)) == []

    @rule()
    def collect(self):
        """Free what nothing needs."""
        Collector(self.files).collect()

    @rule(target=finished, branch=BRANCHES, other=st.sampled_from(["master", "other", "v1"]))
    def merge(self, branch, other):
        """Bring one line into another; theirs wins, so that what theirs changed since the base is what it says."""
        here, there = self.commit(branch), self.commit(other)
        if here is None or there is None or here.error or there.error or {branch, other} & self.open.keys():
            return ""
        wish = Merge(REPO, other, Branch(REPO, branch), Choice.THEIRS)
        answer = merge_branch(self.files, wish)
        finish_waiting(self.files)
        if answer.commit is None:
            assert answer.up_to_date
            assert self.commit(branch).commit == here.commit
            return ""
        base = self.base_tree(answer.base)
        ours, theirs = self.trees[here.commit.id], self.trees[there.commit.id]
        tree = {path: data for path, data in ours.items() if path in theirs or path not in base}
        tree |= {path: data for path, data in theirs.items() if base.get(path) != data}
        return self.remember(branch, answer.commit.id, tree)

    def base_tree(self, base):
        """The files of a merge's base; of a bad one, those of the good one before it."""
        while base is not None and (info := self.commit(base.id)).error:
            base = info.parent
        return self.trees[base.id] if base is not None else {}

    @invariant()
    def tags_stay(self):
        for name, commit in getattr(self, "tags", {}).items():
            assert self.commit(name).commit.id == commit

    def commit(self, ref):
        try:
            return self.catalog.read(lambda tx: commits.inspect_commit(tx, REPO, ref))
        except NotFound:
            return None

    @rule(commit=finished)
    def reads_back(self, commit):
        """Whatever happened since, a finished commit reads as it did."""
        if commit and commit not in self.gone:
            assert self.read(commit) == self.trees[commit]
            assert self.recomposed(commit) == set(self.trees[commit])

    @invariant()
    def heads_are_known(self):
        """What each branch points to, for the next drop."""
        self.pointed = {branch: now.commit.id for branch in ("master", "other") if (now := self.commit(branch))}

    @invariant()
    def heads_are_right(self):
        for branch, commit in getattr(self, "heads", {}).items():
            if branch not in self.open:
                info = self.catalog.read(lambda tx, b=branch: commits.inspect_commit(tx, REPO, b))
                if not info.error:
                    assert info.commit.id == commit
                    assert info.size_bytes == sum(map(len, self.trees[commit].values()))

    def remember(self, branch, commit, tree):
        info = self.catalog.read(lambda tx: commits.inspect_commit(tx, REPO, commit))
        assert not info.error
        self.trees[commit] = tree
        self.heads[branch] = commit
        assert self.read(commit) == tree
        return commit

    def recomposed(self, commit):
        """The paths of a commit made again from its base and its diff, which is the record."""

        def stack(tx):
            row = commit_rows.find_commit(tx, Commit(REPO, commit))
            return [*(commit_rows.runs(tx, row.base) if row.base else []), *commit_rows.layers(tx, row.seq)]

        view = self.files.view(self.catalog.read(stack))
        return {one.path for one in entries(view.walk("/")) if not one.is_dir} if view.find("/") else set()

    def read(self, commit):
        source = reads.need_source(self.files, REPO, commit)
        return {
            info.path: b"".join(content.get_file(self.files, source, info.path))
            for info in reads.walk_file(source, "/")
            if not info.is_dir
        }


RepoMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRepoAgainstDicts = RepoMachine.TestCase
