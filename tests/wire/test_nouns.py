"""What clients send and what it means: the hazards of the wire, one by one; instants there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.infos import CommitInfo, CommitState, FileInfo, Origin, RepoInfo
from trunkline.model.names import Branch, Commit, Job, Pipeline, Repo
from trunkline.wire import infos, nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.times import duration, micros, span_us, timestamp

ID = "0123456789abcdef0123456789abcdef"
IMAGES = Repo("default", "images")
NAMED = pfs.Repo(name="images", type="user", project=pfs.Project(name="default"))
INVENTED = pfs.Repo(type="user", project=pfs.Project(name="default"))
"""What the newer client sends for a repo that its user left unset."""


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (NAMED, IMAGES),
        (pfs.Repo(name="images"), IMAGES),
        (pfs.Repo(name="images", project=pfs.Project()), IMAGES),
        (pfs.Repo(name="images", type="meta", project=pfs.Project(name="p")), Repo("p", "images", "meta")),
        (INVENTED, None),
        (pfs.Repo(), None),
    ],
)
def test_a_repo_without_a_name_is_absent(sent: pfs.Repo, meant: Repo | None) -> None:
    assert nouns.find_repo(sent) == meant


def test_a_repo_that_must_be_there_is_missed_in_words() -> None:
    with pytest.raises(InvalidArgument, match="names no repo"):
        nouns.repo_of(INVENTED)


@pytest.mark.parametrize(
    ("sent", "repo", "ref", "branch"),
    [
        (pfs.Commit(branch=pfs.Branch(repo=NAMED, name="master")), IMAGES, "master", "master"),
        (pfs.Commit(branch=pfs.Branch(repo=NAMED, name="master"), id=ID), IMAGES, ID, ""),
        (pfs.Commit(branch=pfs.Branch(repo=NAMED, name="master"), id=ID, repo=INVENTED), IMAGES, ID, ""),
        (pfs.Commit(repo=NAMED, id=ID), IMAGES, ID, ""),
        (pfs.Commit(repo=NAMED, id=ID, branch=pfs.Branch(repo=INVENTED)), IMAGES, ID, ""),
        (pfs.Commit(repo=NAMED, id="master"), IMAGES, "master", "master"),
        (pfs.Commit(repo=NAMED, id="master^2"), IMAGES, "master^2", ""),
        (pfs.Commit(repo=NAMED, id=f"{ID}^2"), IMAGES, f"{ID}^2", ""),
        (pfs.Commit(repo=NAMED, id="master.3"), IMAGES, "master.3", ""),
    ],
)
def test_a_commit_is_named_in_many_ways(sent: pfs.Commit, repo: Repo, ref: str, branch: str) -> None:
    found = nouns.commit_of(sent)
    assert (found.repo, found.ref, found.plain_branch) == (repo, ref, branch)


@pytest.mark.parametrize("sent", [pfs.Commit(), pfs.Commit(repo=INVENTED, id=ID), pfs.Commit(repo=NAMED)])
def test_half_a_commit_is_refused(sent: pfs.Commit) -> None:
    with pytest.raises(InvalidArgument):
        nouns.commit_of(sent)


def test_a_commit_on_the_wire_has_all_that_any_client_reads() -> None:
    sent = nouns.commit(Commit(IMAGES, ID), "master")
    assert (sent.repo, sent.branch.repo, sent.branch.name, sent.id) == (NAMED, NAMED, "master", ID)


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True)
REPOS = st.builds(Repo, NAMES, NAMES, st.sampled_from(["user", "meta", "spec"]))


@given(REPOS, NAMES)
def test_addresses_come_back(repo: Repo, name: str) -> None:
    assert nouns.find_repo(nouns.repo(repo)) == repo
    assert nouns.branch_of(nouns.branch(Branch(repo, name))) == Branch(repo, name)
    assert nouns.commit_of(nouns.commit(Commit(repo, ID))) == nouns.CommitRef(repo, "", ID)
    job = Job(Pipeline(repo.project, name), ID)
    assert nouns.job_of(nouns.job(job)) == job


def test_a_pipeline_without_a_project_is_in_the_default_one() -> None:
    assert nouns.pipeline_of(pps.Pipeline(name="edges")) == Pipeline("default", "edges")
    with pytest.raises(InvalidArgument):
        nouns.pipeline_of(pps.Pipeline(project=pfs.Project(name="p")))


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_instants_come_back(instant_us: int) -> None:
    stamp = timestamp(instant_us)
    assert 0 <= stamp.nanos < 1_000_000_000
    assert micros(stamp) == instant_us
    assert micros(type(stamp).FromString(stamp.SerializeToString())) == instant_us


@given(st.integers(-(10**17), 10**17))
def test_spans_come_back(us: int) -> None:
    span = duration(us)
    assert span.seconds * span.nanos >= 0
    assert span_us(span) == us


def commit_info(**given: object) -> CommitInfo:
    told: dict[str, object] = {
        "commit": Commit(IMAGES, ID),
        "branch": "master",
        "seq": 7,
        "origin": Origin.AUTO,
        "state": CommitState.STARTED,
        "parent": None,
        "children": (),
        "started_us": 1,
        "finishing_us": None,
        "finished_us": None,
        "direct_provenance": (),
        "direct_subvenance": (),
        "error": "",
        "description": "",
        "size_upper_bytes": 9,
        "size_bytes": None,
    }
    return CommitInfo(**(told | given))  # type: ignore[arg-type]


def test_an_open_commit_says_nothing_of_its_end() -> None:
    sent = infos.commit_info(commit_info())
    assert not sent.HasField("finished")
    assert not sent.HasField("finishing")
    assert not sent.HasField("details")
    assert not sent.HasField("parent_commit")
    assert sent.origin.kind == pfs.AUTO


def test_a_finished_commit_says_its_size_and_its_family() -> None:
    up = Commit(Repo("default", "up"), ID)
    sent = infos.commit_info(
        commit_info(finishing_us=2, finished_us=3, size_bytes=0, parent=up, direct_provenance=(up,)), bare=True
    )
    assert sent.HasField("details")
    assert (micros(sent.finishing), micros(sent.finished)) == (2, 3)
    assert sent.parent_commit.repo.name == "up"
    assert [other.repo.name for other in sent.direct_provenance] == ["up"]
    assert sent.commit.branch.name == ""
    assert sent.commit.branch.repo.name == "images"


def test_a_repo_has_details_once_its_size_is_known() -> None:
    sent = infos.repo_info(RepoInfo(IMAGES, "d", 1, ("master",), 5, None))
    assert not sent.HasField("details")
    assert sent.branches[0] == pfs.Branch(repo=NAMED, name="master")
    assert infos.repo_info(RepoInfo(IMAGES, "d", 1, (), 5, 4)).details.size_bytes == 4


def test_a_directory_is_told_from_a_file() -> None:
    told = FileInfo(Commit(IMAGES, ID), "/a/", "", True, 3, b"h" * 32, None)
    sent = infos.file_info(told)
    assert (sent.file_type, sent.file.path, sent.HasField("committed")) == (pfs.DIR, "/a/", False)


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text(), st.booleans(), st.integers(0, 2**63 - 1), st.binary(max_size=200))
    ),
    st.sampled_from(["", "master"]),
    st.none() | st.integers(0, 2**50),
)
def test_files_that_are_encoded_together_are_as_each_alone(
    rows: list[tuple[str, str, bool, int, bytes]], branch: str, committed_us: int | None
) -> None:
    commit = Commit(IMAGES, ID)
    found = [FileInfo(commit, *row, committed_us) for row in rows]
    columns = list(zip(*rows, strict=True)) or [()] * 5
    encoded = infos.FileMessages(commit, branch, committed_us).of(*columns)
    expected = [infos.file_info(one, branch) for one in found]
    assert [pfs.FileInfo.FromString(one) for one in encoded] == expected
    assert encoded == [one.SerializeToString(deterministic=True) for one in expected]
    assert list(own.FileList.FromString(infos.file_list(encoded)).files) == expected


@pytest.mark.parametrize("state", CommitState)
def test_every_state_and_origin_has_a_number(state: CommitState) -> None:
    assert infos.state_of(infos.state(state)) is state
    assert infos.state_of(0) is None
    assert [infos.origin_of(kind) for kind in (1, 2, 3, 0)] == [Origin.USER, Origin.AUTO, Origin.FSCK, None]
