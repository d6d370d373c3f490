"""Paths taken out of all history: nothing else changes, and their bytes are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pfs.collected import new_files
from trunkline.ambient import SimulatedAmbient, chance
from trunkline.catalog.engine import Tx
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.purging.purges import COLLECTING, GONE, STOPPED
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import Branch, Repo, Tag
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.edits import Add, Copy, Delete, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, removal, repos, tags
from trunkline.pfs.lent.leases import Leases
from trunkline.pfs.purging.asking import Purging
from trunkline.pfs.purging.hits import no_lineage
from trunkline.pfs.purging.purger import Purger
from trunkline.pfs.purging.survey import Wish, settles
from trunkline.testing.catalogs import open_catalog

DATA, OTHER = Repo("default", "data"), Repo("default", "other")


def secret(number: int = 0, size: int = 9_000) -> bytes:
    """Bytes that nobody else has, and that do not compress."""
    return chance(1000 + number).randbytes(size)


class Place:
    """A file system, with verbs."""

    def __init__(self, files: Files, folder: Path) -> None:
        self.files, self.folder = files, folder
        self.purging = Purging(files, no_lineage)
        self.purger = Purger(files, no_lineage, Collector(files))

    def put(self, *changes, repo: Repo = DATA, branch: str = "master") -> str:
        stream = []
        for change in changes:
            if isinstance(change, tuple):
                stream += [Delete(change[0]), Add(*change)]
            else:
                stream.append(change)
        commit = edits.modify(self.files, Target(repo, branch=branch), stream)
        finish_waiting(self.files)
        return commit.id

    def read(self, ref: str, repo: Repo = DATA) -> dict[str, bytes]:
        source = reads.need_source(self.files, repo, ref)
        return {
            info.path: b"".join(content.get_file(self.files, source, info.path))
            for info in reads.walk_file(source, "/")
            if not info.is_dir
        }

    def begin(self, path: str, repo: Repo = DATA, **more) -> str:
        return self.purging.begin(Wish(repo, path, **more))

    def go(self, id: str, most: int | None = None) -> bool:
        """Take steps (all); whether it came to an end."""
        for number, _ in enumerate(self.purger.steps(self.purging.inspect(id).row.key)):
            if most is not None and number + 1 >= most:
                return False
        return True

    def purge(self, path: str, repo: Repo = DATA, **more) -> str:
        id = self.begin(path, repo, **more)
        self.go(id)
        return id

    def stage(self, id: str) -> str:
        return self.purging.inspect(id).row.stage

    def stored(self, data: bytes) -> list[str]:
        """Blobs and files of the catalog with these bytes."""
        found = [name for name in self.files.store.blobs.names() if data in self.files.store.blobs.get(name)]
        return found + [str(one) for one in self.folder.rglob("*") if one.is_file() and data in one.read_bytes()]

    def check(self) -> None:
        assert list(fsck.violations(self.files, read_bytes=True)) == []


@pytest.fixture
def place(tmp_path: Path):
    ambient = SimulatedAmbient(5)
    with open_catalog(tmp_path / "data", ambient, rehearse=True) as catalog:
        files = new_files(catalog, tmp_path / "cache", ambient)
        for repo in (DATA, OTHER):
            catalog.transact(lambda tx, repo=repo: repos.create_repo(tx, repo))
        made = Place(files, tmp_path)
        yield made
        made.check()


def test_a_path_goes_from_every_commit_and_nothing_else_does(place: Place) -> None:
    ids = [
        place.put(("/keep", b"1")),
        place.put(("/bad", secret()), ("/d/x", b"2")),
        place.put(("/bad", secret(1)), ("/d/y", b"3")),
        place.put(Delete("/bad"), ("/keep", b"4")),
        place.put(("/d/x", b"5")),
    ]
    before = [place.read(one) for one in ids]
    id = place.purge("/bad")
    after = [{path: data for path, data in tree.items() if path != "/bad"} for tree in before]
    assert [place.read(one) for one in ids] == after
    assert place.stage(id) == GONE
    assert not place.stored(secret()[:500])
    assert not place.stored(secret(1)[:500])
    for one, tree in zip(ids, after, strict=True):
        info = place.files.catalog.read(lambda tx, one=one: commits.inspect_commit(tx, DATA, one))
        assert info.size_bytes == sum(map(len, tree.values()))


def test_the_report_names_commits_and_paths_and_the_commits_are_marked(place: Place) -> None:
    first = place.put(("/d/a", secret(0, 100)), ("/keep", b"1"))
    second = place.put(("/d/b", secret(1, 50)))
    place.put(Delete("/d/"))
    found = place.purging.look(Wish(DATA, "/d"))
    assert [(one.commit.id, one.files, one.size_bytes, one.paths) for one in found.tolls] == [
        (first, 1, 100, ("/d/a",)),
        (second, 2, 150, ("/d/a", "/d/b")),
    ]
    assert (found.size_bytes, len(found.names)) == (150, 2)
    id = place.purge("/d/", reason="asked for by the owner")
    assert [one.commit.id for one in place.purging.tolls(id)] == [first, second]
    info, toll = place.purging.marks(DATA, first)[0]
    assert (info.row.id, info.row.reason, toll.paths) == (id, "asked for by the owner", ("/d/a",))
    assert place.purging.marks(DATA, "master") == []
    assert [one.row.id for one in place.purging.list_(DATA, 0)] == [id]
    assert list(place.purging.list_(OTHER, 0)) == []


def test_small_files_and_files_of_many_chunks_go_too(place: Place) -> None:
    small, large = secret(1, 1000), secret(2, 9 << 20)
    place.put(("/small", small), ("/large", large), ("/keep", b"1"), *((f"/{n}", secret(n + 10)) for n in range(9)))
    place.put(("/other", b"2"))
    place.files.catalog.fold_log()
    assert place.stored(small[:300])
    assert place.stored(large[:300])
    for path in ("/small", "/large"):
        assert place.stage(place.purge(path)) == GONE
    assert not place.stored(small[:300])
    assert not place.stored(large[:300])
    assert not place.stored(large[-300:])
    assert place.read("master") == {"/keep": b"1", "/other": b"2", **{f"/{n}": secret(n + 10) for n in range(9)}}


def test_a_pattern_takes_what_matches_with_all_below(place: Place) -> None:
    one = place.put(("/a1", b"1"), ("/a2/x", b"2"), ("/b/a3", b"3"), ("/a2/y/z", b"4"), ("/*", b"5"))
    place.purge("/a*", glob=True)
    assert place.read(one) == {"/b/a3": b"3", "/*": b"5"}
    place.purge("/*")
    assert place.read(one) == {"/b/a3": b"3"}
    place.purge("/")
    assert place.read(one) == {}


def test_a_pack_that_is_shared_is_stored_anew_without_it(place: Place) -> None:
    place.put(("/bad", secret()), *((f"/{n}", secret(n + 10)) for n in range(30)))
    assert place.stored(secret()[:500])
    assert place.stage(place.purge("/bad")) == GONE
    assert not place.stored(secret()[:500])
    assert place.read("master") == {f"/{n}": secret(n + 10) for n in range(30)}


def test_who_else_has_the_same_bytes_keeps_them_and_is_named(place: Place) -> None:
    place.put(("/bad", secret()), ("/keep", b"1"))
    copied = place.put(Copy("/copied", DATA, "master", "/bad"), repo=OTHER)
    put = place.put(("/again", secret()))
    id = place.purge("/bad")
    row = place.purging.inspect(id).row
    assert row.stage == GONE
    assert row.kept_files == 2
    assert sorted(row.kept) == sorted([f"{OTHER}@{copied}:/copied", f"{DATA}@{put}:/again"])
    assert place.read("master") == {"/keep": b"1", "/again": secret()}
    assert place.read("master", OTHER) == {"/copied": secret()}


def test_commits_with_an_error_lose_it_too(place: Place) -> None:
    place.put(("/bad", secret()), ("/keep", b"1"))
    place.files.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    place.put(("/worse/bad", secret(2)), ("/bad", secret(1)), ("/new", b"2"))
    failed = place.files.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "master", error="no"))
    finish_waiting(place.files)
    place.put(("/later", b"3"))
    place.purge("/bad")
    assert place.read(failed.id) == {"/keep": b"1", "/new": b"2", "/worse/bad": secret(2)}
    place.purge("/worse")
    assert place.read(failed.id) == {"/keep": b"1", "/new": b"2"}
    for number in range(3):
        assert not place.stored(secret(number)[:500])


def test_what_a_squashed_commit_left_behind_goes(place: Place) -> None:
    place.put(("/keep", b"1"))
    gone = place.put(("/bad", secret()))
    last = place.put(Delete("/bad"), ("/more", b"2"))
    place.files.change(lambda change: removal.squash_commit(change, DATA, gone))
    assert place.stored(secret()[:500])
    place.purge("/bad")
    assert not place.stored(secret()[:500])
    assert place.read(last) == {"/keep": b"1", "/more": b"2"}


def test_the_next_commit_builds_on_what_is_left(place: Place) -> None:
    place.put(("/bad", secret()), ("/d/x", b"1"))
    place.purge("/bad")
    place.put(("/d/y", b"2"))
    place.put(("/bad", b"other bytes now"))
    assert place.read("master") == {"/d/x": b"1", "/d/y": b"2", "/bad": b"other bytes now"}
    fresh = place.put(("/d/x", b"1"), ("/d/y", b"2"), ("/bad", b"other bytes now"), repo=OTHER)
    source = [reads.need_source(place.files, *one) for one in ((DATA, "master"), (OTHER, fresh))]
    assert source[0].view.hash == source[1].view.hash


def test_a_lease_that_has_it_ends(place: Place) -> None:
    place.put(("/bad", secret()))
    kept = place.put(("/x", b"1"), repo=OTHER)
    leases = Leases(place.files)
    bad, good = leases.of_commit(DATA, "master"), leases.of_commit(OTHER, kept)
    mixed = leases.compose([bad, good], 0, compact=True)
    id = place.purge("/bad")
    assert place.purging.inspect(id).row.ended_leases == 2
    for lease in (bad, mixed):
        with pytest.raises(NotFound):
            leases.renew(lease, 100)
    leases.renew(good, 100)
    assert not place.stored(secret()[:500])


def test_a_read_that_runs_goes_on_and_is_waited_for(place: Place) -> None:
    place.put(("/bad", secret(0, 3 << 20)), ("/keep", b"1"))
    source = reads.need_source(place.files, DATA, "master")
    pieces = content.get_file(place.files, source, "/bad")
    begin = bytes(next(pieces))
    id = place.purge("/bad")
    assert place.stage(id) == COLLECTING
    assert place.purging.inspect(id).left
    assert begin + b"".join(pieces) == secret(0, 3 << 20)
    del source, pieces
    place.go(id)
    assert place.stage(id) == GONE


def test_while_history_is_written_anew_nobody_adds_to_it_or_takes_away(place: Place) -> None:
    first = place.put(("/bad", secret()))
    place.put(("/x", b"1"))
    id = place.begin("/bad")
    wishes = [
        lambda: place.put(("/y", b"2")),
        lambda: place.files.change(lambda change: removal.squash_commit(change, DATA, first)),
        lambda: place.files.change(lambda change: removal.drop_commit(change, DATA, "master")),
        lambda: place.files.change(lambda change: repos.delete_repo(change, DATA)),
    ]
    for wish in wishes:
        with pytest.raises(Aborted, match=rf"default/data:/bad is being purged.*{id}"):
            wish()
    with pytest.raises(FailedPrecondition, match="another purge is at work"):
        place.begin("/x")
    assert place.put(("/y", b"2"), repo=OTHER)
    place.go(id)
    assert place.put(("/y", b"2"))


def test_what_cannot_be_purged_is_refused_in_words(place: Place) -> None:
    done = place.put(("/x", b"1"))
    with pytest.raises(NotFound, match="has, or has had, a file or directory /y; nothing to purge"):
        place.begin("/y")
    with pytest.raises(NotFound, match="a file that matches /y"):
        place.begin("/y*", glob=True)
    with pytest.raises(NotFound, match="repo default/none not found"):
        place.begin("/x", Repo("default", "none"))
    meta = Repo("default", "data", "meta")
    place.files.catalog.transact(lambda tx: repos.create_repo(tx, meta))
    with pytest.raises(InvalidArgument, match="purged from repos of files only"):
        place.begin("/x", meta)
    for path in ("", "  ", "/a/../b", "/a\nb"):
        with pytest.raises(InvalidArgument):
            place.begin(path)
    place.files.catalog.transact(lambda tx: tags.create_tag(tx, Tag(DATA, "v1"), done))
    with pytest.raises(FailedPrecondition, match=r"carries the tag v1.*--tagged"):
        place.begin("/x")
    opened = place.files.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    with pytest.raises(FailedPrecondition, match=f"{opened.id} is not finished; finish it with `pachctl finish commit"):
        place.begin("/x", tagged=True)
    place.files.change(lambda change: removal.drop_commit(change, DATA, opened.id))
    place.purge("/x", tagged=True)
    assert place.read("v1") == {}


@pytest.mark.parametrize("repo", [DATA, OTHER], ids=["its own", "made of it"])
def test_a_commit_that_is_being_finished_is_worth_waiting_for(place: Place, repo: Repo) -> None:
    wish = Wish(DATA, "/x")
    place.put(("/x", b"1"))
    if repo == OTHER:  # its commit is made with the branch, stands on a finished one, and is finished after that
        source = [Branch(DATA, "master")]
        place.files.change(lambda change: branches.create_branch(change, Branch(OTHER, "master"), provenance=source))
        place.files.catalog.transact(lambda tx: commits.finish_commit(tx, OTHER, "master", force=True))
    else:
        edits.modify(place.files, Target(DATA, branch="master"), [Add("/y", b"2")])
    found = place.files.catalog.read(lambda tx: settles(tx, wish))
    assert found is not None
    assert found.commit.repo == repo
    with pytest.raises(FailedPrecondition, match=f"{found.commit.id} is not finished; wait for it"):
        place.begin("/x")
    finish_waiting(place.files)
    assert place.files.catalog.read(lambda tx: settles(tx, wish)) is None
    id = place.begin("/x")
    place.go(id)
    assert place.stage(id) == GONE


def test_killed_after_any_step_it_goes_on(tmp_path: Path) -> None:
    for most in range(1, 30):
        ambient = SimulatedAmbient(most)
        folder = tmp_path / str(most)
        with open_catalog(folder / "data", ambient, rehearse=False) as catalog:
            files = new_files(catalog, folder / "cache", ambient)
            catalog.transact(lambda tx: repos.create_repo(tx, DATA))
            place = Place(files, folder)
            ids = [place.put((f"/{n}", secret(n + 10)), ("/bad", secret(n))) for n in range(2)]
            Leases(files).of_commit(DATA, "master")
            id = place.begin("/bad")
            ended = place.go(id, most)
            assert list(fsck.violations(files)) == []
            for number, one in enumerate(ids):
                left = {path: data for path, data in place.read(one).items() if path != "/bad"}
                assert left == {f"/{n}": secret(n + 10) for n in range(number + 1)}
            place.purger = Purger(files, no_lineage, Collector(files))
            place.go(id)
            assert place.stage(id) == GONE
            assert "/bad" not in place.read("master")
            assert not any(place.stored(secret(n)[:500]) for n in range(2))
        if ended:
            return
    raise AssertionError("it has no end")


def test_a_purge_that_is_stopped_opens_the_repos_and_can_be_begun_again(place: Place) -> None:
    ids = [place.put(("/bad", secret(n)), (f"/{n}", b"1")) for n in range(3)]
    id = place.begin("/bad")
    place.go(id, 1)
    place.purging.stop(id)
    assert place.stage(id) == STOPPED
    place.go(id)
    assert [one.commit.id for one in place.purging.tolls(id)] == ids[:1]
    assert ["/bad" in place.read(one) for one in ids] == [False, True, True]
    place.check()
    place.put(("/more", b"2"))
    again = place.purge("/bad")
    assert len(list(place.purging.tolls(again))) == 3
    assert not any(place.stored(secret(n)[:500]) for n in range(3))
    with pytest.raises(FailedPrecondition, match="written anew already; it is gone"):
        place.purging.stop(again)


def test_what_a_purge_contradicts_is_named(place: Place) -> None:
    place.put(("/bad", secret()))
    id = place.begin("/bad")

    def wrong(tx: Tx) -> None:
        purge_rows.set_stage(tx, 1, GONE)
        purge_rows.add_remains(tx, 1, [("fileset", "f" * 32)])
        tx.execute("UPDATE purges SET stage = 'rewriting'")

    key = place.purging.inspect(id).row.key
    assert key == 1
    place.files.catalog.transact(wrong)
    assert any(line.startswith("I-15:") and id in line for line in fsck.violations(place.files))
    place.files.catalog.transact(lambda tx: tx.execute("UPDATE purges SET stage = 'gone'"))
    assert any("not seen to be gone" in line for line in fsck.violations(place.files))
    place.files.catalog.transact(lambda tx: purge_rows.clear_remains(tx, 1))
    place.files.catalog.transact(lambda tx: tx.execute("DELETE FROM holders WHERE kind = 'purge'"))
