"""How a datum is laid out: elements written once, links into staging, /pfs/.env."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import MemoryStorage, datum, element

from trunkline.errors import NotFound
from trunkline.worker import layout
from trunkline.worker.inputs.variables import environment, quoted
from trunkline.worker.layout import Pfs, Staging


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage(
        images={"/cats/1.png": b"one", "/cats/2.png": b"second", "/dog.png": b"dog", "/empty": b""},
        model={"/weights/a": b"A" * 100, "/weights/b": b"B" * 200},
        other={"/cats": b"a file", "/x/y": b"y"},
    )


@pytest.fixture
def staging(tmp_path: Path, storage: MemoryStorage) -> Staging:
    (tmp_path / "staging").mkdir()
    return Staging(tmp_path / "staging", storage)


@pytest.fixture
def pfs(tmp_path: Path) -> Pfs:
    (tmp_path / "pfs").mkdir()
    return Pfs(tmp_path / "pfs", str(tmp_path / "staging"))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below, followed through links."""
    return {
        str(Path(here, name).relative_to(folder)): Path(here, name).read_bytes()
        for here, _, names in os.walk(folder, followlinks=True)
        for name in names
    }


def test_files_lie_at_their_whole_path_and_out_is_empty(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (prepared,) = staging.prepare([datum(0, element("/cats/1.png"), element("/weights", "model"))])
    pfs.lay(prepared, {})
    assert tree(tmp_path / "pfs") == {
        "images/cats/1.png": b"one",
        "model/weights/a": b"A" * 100,
        "model/weights/b": b"B" * 200,
        ".env": b"",
    }
    assert (tmp_path / "pfs" / "images").is_symlink()
    assert (tmp_path / "pfs" / "images" / "cats" / "1.png").is_file()
    assert list((tmp_path / "pfs" / "out").iterdir()) == []
    assert prepared.size_bytes == 303


def test_an_element_shared_by_datums_is_fetched_once(staging: Staging, storage: MemoryStorage) -> None:
    weights = element("/weights", "model")
    first = staging.prepare(
        [datum(row, element(path), weights) for row, path in enumerate(("/dog.png", "/cats/1.png"))]
    )
    second = staging.prepare([datum(2, element("/cats/2.png"), weights)])
    assert [each.path for each in storage.fetched].count("/weights") == 1
    assert first[0].links["model"] == first[1].links["model"] == second[0].links["model"]


def test_what_is_released_stays_for_datums_to_come_until_room_is_needed(tmp_path: Path, storage: MemoryStorage) -> None:
    (tmp_path / "staging").mkdir()
    staging = Staging(tmp_path / "staging", storage, keep_bytes=299)
    (one,) = staging.prepare([datum(0, element("/weights/a", "model"))])
    staging.release(one)
    (again,) = staging.prepare([datum(1, element("/weights/a", "model"))])
    assert len(storage.fetched) == 1
    (other,) = staging.prepare([datum(2, element("/weights/b", "model"))])
    staging.release(again)
    staging.release(other)
    staging.sweep()
    assert len(tree(tmp_path / "staging")) == 1
    staging.prepare([datum(3, element("/weights/b", "model"))])
    assert len(storage.fetched) == 2


@pytest.mark.parametrize(("later_bytes", "left"), [(0, 0), (1 << 20, 1)])
def test_only_what_is_small_is_removed_later(
    tmp_path: Path, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch, later_bytes: int, left: int
) -> None:
    monkeypatch.setattr(layout, "_LATER_BYTES", later_bytes)
    (tmp_path / "staging").mkdir()
    staging = Staging(tmp_path / "staging", storage, keep_bytes=0)
    (one,) = staging.prepare([datum(0, element("/weights/a", "model"))])
    staging.release(one)
    assert len(tree(tmp_path / "staging")) == left
    staging.prepare([])
    assert tree(tmp_path / "staging") == {}


def test_equal_content_of_another_commit_is_the_same(staging: Staging, storage: MemoryStorage) -> None:
    staging.prepare([datum(0, element("/dog.png", hash=b"h"))])
    staging.prepare([datum(1, element("/dog.png", name="renamed", hash=b"h"))])
    staging.prepare([datum(2, element("/dog.png", hash=b"changed"))])
    assert len(storage.fetched) == 2


def test_several_elements_of_one_input_become_one_folder(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (prepared,) = staging.prepare([datum(0, element("/cats/2.png"), element("/dog.png"), element("/cats/1.png"))])
    pfs.lay(prepared, {})
    assert set(tree(tmp_path / "pfs" / "images")) == {"cats/1.png", "cats/2.png", "dog.png"}
    staging.release(prepared)
    assert not [path for path in (tmp_path / "staging").iterdir() if path.name.startswith("j")]


def test_elements_that_contain_one_another_are_laid_out_once(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (prepared,) = staging.prepare([datum(0, element("/cats"), element("/cats/1.png"), element("/"))])
    pfs.lay(prepared, {})
    assert not prepared.problem
    assert set(tree(tmp_path / "pfs" / "images")) == {"cats/1.png", "cats/2.png", "dog.png", "empty"}


def test_a_file_and_a_folder_of_one_name_are_the_datums_problem(staging: Staging) -> None:
    bad, good = staging.prepare(
        [datum(0, element("/cats/1.png"), element("/cats", "other", "images")), datum(1, element("/dog.png"))]
    )
    assert bad.problem == "input images (2 elements): /cats is a file in one and a folder in another"
    assert not good.problem


def test_a_path_too_long_for_the_disk_is_the_datums_problem(staging: Staging, storage: MemoryStorage) -> None:
    long = "/" + "/".join([*["x" * 250] * 16, "y" * 70])
    storage.trees["images"][long] = b"deep"
    bad, good = staging.prepare([datum(0, element(long)), datum(1, element("/dog.png"))])
    assert bad.problem == f"input file {long} cannot be laid out: File name too long"
    assert not good.problem
    staging.release(bad)


def test_a_failed_fetch_leaves_nothing_half_written(staging: Staging, storage: MemoryStorage, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        staging.prepare([datum(0, element("/dog.png"), element("/nothing"))])
    assert tree(tmp_path / "staging") == {}
    (prepared,) = staging.prepare([datum(0, element("/dog.png"))])
    assert (tmp_path / "staging" / prepared.links["images"] / "dog.png").read_bytes() == b"dog"


def test_empty_files_have_names_only(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (prepared,) = staging.prepare([datum(0, element("/cats", empty_files=True))])
    pfs.lay(prepared, {})
    assert tree(tmp_path / "pfs" / "images") == {"cats/1.png": b"", "cats/2.png": b""}


def test_the_next_datum_sees_nothing_of_the_last(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    first, second = staging.prepare(
        [datum(0, element("/dog.png"), element("/x", "other")), datum(1, element("/empty"))]
    )
    pfs.lay(first, {"A": "1"})
    out = tmp_path / "pfs" / "out"
    (out / "deep" / "er").mkdir(parents=True)
    (out / "deep" / "er" / "file").write_text("x")
    (tmp_path / "pfs" / "stray").write_text("x")
    (tmp_path / "pfs" / "images").unlink()
    (tmp_path / "pfs" / "images").symlink_to("/etc")
    (tmp_path / "pfs" / ".env").unlink()
    (tmp_path / "pfs" / ".env").mkdir()
    assert pfs.clear() == []
    pfs.lay(second, {"B": "2"})
    assert tree(tmp_path / "pfs") == {"images/empty": b"", ".env": b"B=2\n"}


def test_out_replaced_by_a_link_is_made_anew(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (prepared,) = staging.prepare([datum(0, element("/dog.png"))])
    pfs.lay(prepared, {})
    (tmp_path / "pfs" / "out").rmdir()
    (tmp_path / "pfs" / "out").symlink_to("/")
    pfs.clear()
    pfs.lay(prepared, {})
    assert not (tmp_path / "pfs" / "out").is_symlink()
    assert list((tmp_path / "pfs" / "out").iterdir()) == []


def test_private_copies_may_be_changed(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (prepared,) = staging.prepare([datum(0, element("/cats"))])
    pfs.lay(prepared, {})
    pfs.copy_inputs(prepared, tmp_path / "staging")
    copy = tmp_path / "pfs" / "images" / "cats" / "1.png"
    assert copy.stat().st_mode & 0o777 == 0o666
    copy.write_text("changed")
    pfs.clear()
    pfs.lay(prepared, {})
    assert copy.read_bytes() == b"one"


def test_variables_name_paths_commits_and_keys() -> None:
    env = environment(
        datum(
            7,
            element("/cats/1.png", join_on="1"),
            element("/", "model"),
            element("/b", "model"),
            element("/d/", "x", "in"),
        )
    )
    assert env == {
        "PACH_DATUM_ID": f"{7:064x}",
        "images": "/pfs/images/cats/1.png",
        "images_COMMIT": "c" * 32,
        "PACH_DATUM_images_JOIN_ON": "1",
        "model": "/pfs/model",
        "model_COMMIT": "c" * 32,
        "in": "/pfs/in/d",
        "in_COMMIT": "c" * 32,
    }


def test_an_input_may_be_named_as_a_variable_of_another() -> None:
    """And of a union's members that which lies in /pfs gives the path."""
    env = environment(datum(1, element("/a", name="x"), element("/b", name="x_COMMIT"), element("/c", name="x_COMMIT")))
    assert (env["x"], env["x_COMMIT"]) == ("/pfs/x/a", "/pfs/x_COMMIT/b")
    bucket = replace(element("/a", name="x"), s3=True)
    assert environment(datum(1, bucket, element("/b", name="x")))["x"] == "/pfs/x/b"


def test_an_input_cannot_take_the_name_of_a_variable_of_ours() -> None:
    env = environment(
        datum(1, element("/a", name="PATH"), element("/a", name="LD_PRELOAD"), element("/a", name="PACH_X"))
    )
    assert env == {"PACH_DATUM_ID": f"{1:064x}"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/pfs/in/a.png",
        "a #1.png",
        "$HOME ${HOME} `id`",
        'say "hi"',
        "it's",
        "two\nlines",
        "ünï",
        "back\\slash",
        "a=b&c;d",
    ],
)
def test_a_shell_reads_back_what_dot_env_holds(value: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text(f"V={quoted(value)}\n")
    read = subprocess.run(
        ["sh", "-c", f'. {tmp_path}/env; printf %s "$V"'], check=True, capture_output=True, env={"HOME": "/home"}
    )
    assert read.stdout.decode() == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("plain-1.0/x:y@z=+", "plain-1.0/x:y@z=+"), ("a b", "'a b'"), ("it's", '"it\'s"'), ("it's $1", "'it\\'s $1'")],
)
def test_how_values_are_quoted(value: str, text: str) -> None:
    assert quoted(value) == text


def test_an_input_that_is_a_bucket_is_no_file(staging: Staging) -> None:
    one = datum(0, element("/", s3=True, is_dir=True), element("/dog.png", name="other"))
    (prepared,) = staging.prepare([one])
    assert list(prepared.links) == ["other"]
    variables = environment(one)
    assert "images" not in variables
    assert variables["images_COMMIT"]
