"""Datums of past jobs run again by pachctl, beside a real server."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("pachd")
    with PachdProcess(folder, ("--workers", "2")) as server:
        site = Site(server)
        site.pachctl("create", "repo", "in")
        site.put("in", a="aa", b="bb")
        yield site


def start(site: Site, name: str, code: str, verb: str = "create") -> tuple[str, dict[str, str]]:
    """A pipeline over the repo; its job, and datums by path."""
    step = {"cmd": ["sh"], "stdin": [code], "env": {"GREETING": "hello"}, "working_dir": "/tmp"}
    site.create(name, step, verb=verb, input={"pfs": {"repo": "in", "glob": "/*"}}, datum_tries=1)
    job = f"{name}@{site.job(name)['job']['id']}"
    listed = documents(site.pachctl("list", "datum", job, "--raw"))
    return job, {one["data"][0]["file"]["path"]: one["datum"]["id"] for one in listed}


def failing(site: Site, *words: str) -> str:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        site.server.pachctl(*words)
    assert caught.value.returncode == 1
    return str(caught.value.stdout.decode())


def test_the_same_code_on_the_same_data_writes_the_same(site: Site, tmp_path: Path) -> None:
    code = (
        "tr a-z A-Z < $in > /pfs/out/$(basename $in); mkdir /pfs/out/d; echo $GREETING $PACH_JOB_ID $PWD > /pfs/out/d/e"
    )
    job, datums = start(site, "upper", f"test $in != /pfs/in/a || {{ {code}; }}")
    told = site.pachctl("replay", job, datums["/a"], "--keep", str(tmp_path / "kept"))
    assert "the output is the recorded one" in told
    assert [line.split() for line in told.splitlines()[2:4]] == [["/a", "same"], ["/d/e", "same"]]
    assert (tmp_path / "kept" / "a").read_text() == "AA"
    assert (tmp_path / "kept" / "d" / "e").read_text() == f"hello {job.partition('@')[2]} /tmp\n"
    assert "is not empty" in site.refused("replay", job, datums["/a"], "--keep", str(tmp_path / "kept"))
    assert "not found" in site.refused("replay", job, "0" * 64)
    assert "terminal" in site.refused("replay", job, datums["/a"], "--shell")
    # What skips keeps the code of the job that ran it.
    job, datums = start(site, "upper", "echo other > /pfs/out/$(basename $in)", verb="update")
    assert site.counts("upper")[2] == 2
    assert "the output is the recorded one" in site.pachctl("replay", job, datums["/a"])


def test_what_differs_is_told_file_by_file(site: Site) -> None:
    code = "f=/pfs/out/$(basename $in); echo same > $f.1; date +%s%N > $f.2; date +%s%N > $f.$(date +%s%N)"
    job, datums = start(site, "times", code)
    told = failing(site, "replay", job, datums["/b"])
    assert "the output is not the recorded one" in told
    assert sorted(line.split()[1] for line in told.splitlines()[2:-1]) == ["differs", "extra", "missing", "same"]


def test_a_datum_that_fails_fails_here_too(site: Site) -> None:
    job, datums = start(site, "bad", "echo so it goes >&2; exit 3")
    told = failing(site, "replay", job, datums["/a"])
    assert told.splitlines()[0].startswith("failed: exit 3")
    assert "in the job it ended as failed: exit 3" in told


def test_a_shell_finds_the_datum_around_it(site: Site) -> None:
    job, datums = start(site, "looked-at", "cp $in /pfs/out/")
    typed = "cat $in; echo; ls /pfs; echo $GREETING-$PWD-$((40 + 2)) | tee /pfs/out/own; false; exit\n"
    ours, theirs = os.openpty()
    program = [site.server.program("pachctl"), "replay", job, datums["/b"], "--shell"]
    with subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, env=site.server.client_env, start_new_session=True
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = b""
        with contextlib.suppress(OSError):  # what a terminal says when nobody holds its other end
            while some := os.read(ours, 65536):
                shown += some
        assert process.wait(60) == 0
    os.close(ours)
    text = shown.decode()
    assert "bb" in text
    assert "in\r\n" in text
    assert "hello-/tmp-42\r\n" in text


def test_a_datum_of_a_batch_is_asked_for_here_too(site: Site) -> None:
    code = "while pachctl next datum; do . /pfs/.env; tr a-z A-Z < $in > /pfs/out/$(basename $in); done"
    step = {"cmd": ["bash"], "stdin": [code], "datum_batching": True}
    site.create("batched", step, input={"pfs": {"repo": "in", "glob": "/*"}}, datum_tries=1)
    job = f"batched@{site.job('batched')['job']['id']}"
    for one in documents(site.pachctl("list", "datum", job, "--raw")):
        assert "the output is the recorded one" in site.pachctl("replay", job, one["datum"]["id"])
