"""Lists filtered by programs in the language of jq, and what such a program cannot do to the server."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from trunkline.api.filters import jq
from trunkline.errors import InvalidArgument, ResourceExhausted, Unimplemented
from trunkline.wire.gen import pps_v2_pb2 as pps

needs_jq = pytest.mark.skipif(find_spec("jq") is None, reason="needs jq")
EDGES = pps.JobInfo(
    job=pps.Job(pipeline=pps.Pipeline(name="edges"), id="1" * 32), state=pps.JOB_SUCCESS, data_processed=2
)


def wants(program: str, message: pps.JobInfo = EDGES) -> bool:
    with jq.wanted_by(program) as wanted:
        return wanted(message)


@needs_jq
@pytest.mark.parametrize(
    ("program", "kept"),
    [
        ("", True),
        (".", True),
        ('.job.pipeline.name == "edges"', True),
        ('select(.state == "JOB_SUCCESS" or .state == "JOB_FAILURE")', True),
        ('select(.state == "JOB_KILLED")', False),
        ('.data_processed == "2"', True),
        (".data_failed", False),
        ("empty", False),
        ("0", True),
        (".job.id | length == 32, error", True),
    ],
)
def test_what_gives_something_else_than_null_or_false_is_kept(program: str, kept: bool) -> None:
    assert wants(program) is kept


@needs_jq
def test_one_program_sees_many_messages() -> None:
    with jq.wanted_by('.reason | startswith("a")') as wanted:
        assert [wanted(pps.JobInfo(reason=text)) for text in ("ab\n", "b", "ä", "a")] == [True, False, False, True]


@needs_jq
@pytest.mark.parametrize("program", ["select(", ".state | keys", "nothing", "error", 'input_filename | error("x")'])
def test_what_is_wrong_with_a_program_is_said(program: str) -> None:
    with pytest.raises(InvalidArgument, match="the jq filter cannot be applied: "):
        wants(program)


@needs_jq
def test_a_program_reads_neither_files_nor_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.json").write_text('{"key": "value"}')
    for verb in (f'import "{tmp_path}/secret" as $s; $s', f'import "./secret" as $s {{search: "{tmp_path}"}}; $s'):
        with pytest.raises(InvalidArgument):
            wants(verb)
    monkeypatch.setenv("TOKEN", "secret")
    assert "TOKEN" in os.environ
    assert wants("$ENV == {} and env == {}")


@needs_jq
def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as hurried:
        hurried.setattr(jq, "_WALL_S", 0.5)
        with pytest.raises(ResourceExhausted, match="make it do less"):
            wants("last(repeat(1))")
        with pytest.raises(ResourceExhausted, match="make it do less"):
            wants('reduce range(40) as $_ ("much more"; . + .) | length')
    with pytest.raises(InvalidArgument, match="larger than 64 KiB"):
        wants("." + " " * jq.MAX_BYTES)
    assert wants(".")


@needs_jq
def test_there_is_room_for_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jq, "_PLACES", jq.threading.BoundedSemaphore(1))
    with jq.wanted_by("."), pytest.raises(ResourceExhausted, match="try again"):
        wants(".")
    assert wants(".")


def test_without_jq_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jq, "find_spec", lambda _name: None)
    with pytest.raises(Unimplemented, match="package jq"):
        wants(".")
    assert wants("")
