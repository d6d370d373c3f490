"""Addresses: what each form names, and how the wrong ones are refused."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model.addresses import (
    Ancestry,
    Ref,
    parse,
    parse_ancestry,
    parse_branch,
    parse_commit,
    parse_file,
    parse_job,
    parse_pipeline,
    parse_repo,
)
from trunkline.model.names import Branch, Job, Pipeline, Repo

ID = "0123456789abcdef0123456789abcdef"
IMAGES = Repo("default", "images")


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("images", Ref(IMAGES)),
        ("images@master", Ref(IMAGES, "master")),
        (f"images@{ID}", Ref(IMAGES, "", ID)),
        (f"images@master={ID}", Ref(IMAGES, "master", ID)),
        ("images@master^2", Ref(IMAGES, "", "master^2")),
        ("images@master=master.1", Ref(IMAGES, "master", "master.1")),
        (f"images@{ID}^:/a", Ref(IMAGES, "", f"{ID}^", "/a")),
        ("images:/a", Ref(IMAGES, path="/a")),
        ("images@master:", Ref(IMAGES, "master", path="")),
        ("images@master:a/b/", Ref(IMAGES, "master", path="a/b/")),
        ("images@master:/a@b:c=d^", Ref(IMAGES, "master", path="/a@b:c=d^")),
        ("images.meta@master", Ref(Repo("default", "images", "meta"), "master")),
        ("lab/images.spec@v1", Ref(Repo("lab", "images", "spec"), "v1")),
    ],
)
def test_an_address_names(text: str, ref: Ref) -> None:
    assert parse(text) == ref


@pytest.mark.parametrize(
    ("repo", "typed"),
    [
        (Repo("default", "images"), "images"),
        (Repo("default", "edges", "spec"), "edges.spec"),
        (Repo("sea", "images"), "sea/images"),
        (Repo("sea", "edges", "meta"), "sea/edges.meta"),
        (Repo("sea", "default"), "sea/default"),
    ],
)
def test_a_repo_is_typed_as_it_is_read(repo: Repo, typed: str) -> None:
    assert repo.typed == typed
    assert parse(f"{typed}@master", "default").repo == repo


def test_the_project_is_the_callers_unless_written() -> None:
    assert parse("images@master", "lab").repo == Repo("lab", "images")
    assert parse("other/images@master", "lab").repo == Repo("other", "images")
    assert parse_repo("images", "").project == "default"
    assert parse_pipeline("edges", "lab")[0] == Pipeline("lab", "edges")
    assert parse_job(f"edges@{ID}", "lab") == Job(Pipeline("lab", "edges"), ID)


@pytest.mark.parametrize(
    ("text", "printed", "target"),
    [
        ("images", "default/images", ""),
        ("lab/images.meta@master:/a", "lab/images.meta@master:/a", "master"),
        (f"images@b={ID}:", f"default/images@b={ID}:", ID),
    ],
)
def test_a_ref_is_printed_with_its_project(text: str, printed: str, target: str) -> None:
    assert str(parse(text)) == printed
    assert parse(text).target == target


@pytest.mark.parametrize(
    ("text", "ancestry"),
    [
        ("master", Ancestry("master")),
        ("master^", Ancestry("master", back=1)),
        ("master~~", Ancestry("master", back=2)),
        ("master^^^", Ancestry("master", back=3)),
        ("master^3", Ancestry("master", back=3)),
        ("master~3", Ancestry("master", back=3)),
        ("master^0", Ancestry("master")),
        ("master.1", Ancestry("master", nth=1)),
        ("master.12", Ancestry("master", nth=12)),
        ("master.-2", Ancestry("master", back=2)),
        (f"{ID}^", Ancestry(ID, back=1)),
        ("^2", Ancestry("", back=2)),
    ],
)
def test_ancestry(text: str, ancestry: Ancestry) -> None:
    assert parse_ancestry(text) == ancestry
    assert parse_ancestry(str(ancestry)) == ancestry
    assert ancestry.plain == (not ancestry.back and ancestry.nth is None)


MIX = 'cannot mix "^", "~", "." and numbers; write "^^" or "^2", not both'
FORMS = 'after the name, "^" or "~" and a number goes back, "." and a number counts from the first commit'


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("master^~", MIX),
        ("master^2^", MIX),
        ("master^^2", None),
        ("master~^", MIX),
        ("master^.1", MIX),
        ("master.1^", MIX),
        ("master.-1.2", MIX),
        ("master.", FORMS),
        ("master.x", FORMS),
        ("master^x", FORMS),
        ("master^2x", FORMS),
        ("master.--2", FORMS),
        ("master.0", 'commits are counted from 1, so ".1" is the first'),
        ("master^1234567890", FORMS),
    ],
)
def test_a_bad_way_is_refused(text: str, rule: str | None) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_ancestry(text)
    assert str(caught.value) == f'ancestry "{text}" is invalid: {rule or MIX}'


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "a repo needs a name"),
        ("@master", "a repo needs a name"),
        ("images@", 'address "images@" is invalid: a branch or a commit must follow the "@"'),
        ("images@:a", 'address "images@:a" is invalid: a branch or a commit must follow the "@"'),
        ("ima ges@master", 'repo name "ima ges" is invalid'),
        ("images@ma ster", 'branch name "ma ster" is invalid'),
        ("images@=x", "a branch needs a name"),
        ("images@master=", "a branch or a commit id must stand before ''"),
        ("images@^2", "a branch or a commit id must stand before '^2'"),
        (f"images@{ID}=master", "it looks like a commit id"),
        ("images.user.x@master", 'repo type "user.x" does not exist'),
        ("images.@master", 'repo type "" does not exist'),
        ("a.b/images@master", 'project name "a.b" is invalid'),
        ("/images@master", "a project needs a name"),
    ],
)
def test_a_bad_address_is_refused(text: str, part: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert part in str(caught.value)


def test_the_narrower_forms_refuse_what_they_do_not_take() -> None:
    assert parse_branch("images@master") == Branch(IMAGES, "master")
    assert parse_commit(f"images@{ID}").target == ID
    assert parse_file("images@master").path is None
    assert parse_pipeline("edges^") == (Pipeline("default", "edges"), Ancestry("edges", back=1))
    job = "expected pipeline@id, the id being 32 lower-case hex digits; `pachctl list job --expand` shows them"
    for refused, text, expected in [
        (parse_branch, f"images@{ID}", "expected repo@branch"),
        (parse_branch, "images@master:/a", "expected repo@branch"),
        (parse_commit, "images", "expected repo@branch or repo@commit"),
        (parse_commit, "images@master:/a", "expected repo@branch or repo@commit"),
        (parse_file, "images:/a", "expected repo@branch:path or repo@commit:path"),
        (parse_job, "edges@master", job),
        (parse_job, ID, job),
    ]:
        with pytest.raises(InvalidArgument) as caught:
            refused(text)  # type: ignore[operator]
        assert str(caught.value).endswith(f"is invalid: {expected}")
