"""Which sandbox is chosen, with real refusals where this machine can make them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from housing import ENV, python_for, sandbox_for, scratch_for

from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.testing.refusals import NO_MOUNTS, NO_NAMESPACES, works
from trunkline.worker.launch import Sandbox, Scratch
from trunkline.worker.rungs import HostScratch, LaidImage, NoRunner, choose, lock_pfs, pfs_is_free, probe, remedy
from trunkline.worker.runner import AgentRunner, Command

APPARMOR = "kernel/apparmor_restrict_unprivileged_userns"
REFUSED = NO_MOUNTS if os.getuid() == 0 else NO_NAMESPACES


def test_namespaces_are_found_by_building_them(folder: Path, who: str) -> None:
    scratch, sandbox = scratch_for(who, folder), sandbox_for(who)
    if refusal := probe(sandbox, scratch):
        pytest.skip(f"namespaces are refused here: {refusal}")
    rung = choose("auto", sandbox, scratch)
    assert (rung.name, rung.max_workers, rung.sandbox) == ("process", 0, sandbox)
    assert rung.reason == "user code runs as processes in namespaces of their own"


@pytest.mark.parametrize("prefix", [NO_NAMESPACES, REFUSED])
def test_a_real_refusal_ends_in_words_and_a_command(folder: Path, prefix: tuple[str, ...]) -> None:
    if not works(prefix):
        pytest.skip("this machine does not let us refuse namespaces to ourselves")
    sandbox = Sandbox(prefix=prefix, python=python_for("self"))
    with pytest.raises(NoRunner) as told:
        choose("auto", sandbox, Scratch(folder / "scratch"), uid=1000)
    assert str(told.value).startswith("user code cannot be run here: cannot make namespaces: ")
    assert "\nTo allow it" in str(told.value)


def test_root_without_mount_rights_takes_a_real_pfs(folder: Path) -> None:
    if not works(REFUSED):
        pytest.skip("this machine does not let us refuse namespaces to ourselves")
    sandbox = Sandbox(prefix=REFUSED, python=python_for("self"))
    rung = choose("auto", sandbox, Scratch(folder / "scratch"), uid=0, pfs=folder / "pfs")
    assert (rung.name, rung.max_workers, rung.sandbox.namespaces) == ("host", 1, False)
    assert "since namespaces are refused (cannot make namespaces: " in rung.reason
    scratch = HostScratch(folder / "scratch", folder / "pfs").make()
    runner = AgentRunner(scratch, rung.sandbox)
    try:
        assert runner.run(Command(["sh", "-c", f"touch {folder}/pfs/made"], ENV), lambda *_: None).code == 0
    finally:
        runner.close()
    assert (folder / "pfs" / "made").exists()


def command_lines() -> Iterator[bytes]:
    """Of every process, as `ps` would show them, which a minimal machine lacks."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes().rstrip(b"\0").replace(b"\0", b" ")


def refusing(*reasons: str) -> Callable[[Sandbox, Scratch], str]:
    """A probe with these answers, one after the other."""
    answers = list(reasons)
    return lambda sandbox, scratch: answers.pop(0)


def test_without_a_fresh_proc_it_goes_on_without_a_pid_namespace(folder: Path) -> None:
    rung = choose("process", Sandbox(), Scratch(folder), refusing("cannot mount proc at /proc", ""))
    assert (rung.name, rung.sandbox.own_pids) == ("process", False)


@pytest.mark.parametrize(
    ("choice", "uid", "told"),
    [
        ("auto", 1000, "user code cannot be run here: no mounts."),
        ("process", 0, "user code cannot be run here: no mounts."),
        ("host", 1000, "user code cannot be run here: --runner host needs root, which may make /pfs."),
    ],
)
def test_what_is_not_allowed_is_not_done(folder: Path, choice: str, uid: int, told: str) -> None:
    with pytest.raises(NoRunner) as error:
        choose(choice, Sandbox(), Scratch(folder), refusing("no mounts", "no mounts either"), uid=uid)
    assert str(error.value).startswith(told)


def test_an_unknown_runner_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(InvalidArgument, match="one of auto, process, container, host"):
        choose("docker", Sandbox(), Scratch(folder))


def test_containers_are_for_later_in_words(folder: Path) -> None:
    with pytest.raises(NoRunner, match="comes with a later release; use --runner auto"):
        choose("container", Sandbox(), Scratch(folder))


def test_a_pfs_of_somebody_else_is_left_alone(folder: Path) -> None:
    (folder / "pfs").mkdir()
    assert pfs_is_free(folder / "pfs")
    (folder / "pfs" / "precious").write_text("x")
    assert not pfs_is_free(folder / "pfs")
    with pytest.raises(NoRunner):
        choose("auto", Sandbox(), Scratch(folder), refusing("no", "no"), uid=0, pfs=folder / "pfs")


def test_one_worker_at_a_time_has_a_real_pfs(folder: Path) -> None:
    (folder / "pfs").mkdir()
    first = lock_pfs(folder / "pfs")
    with pytest.raises(FailedPrecondition, match="in use by another worker"):
        lock_pfs(folder / "pfs")
    os.close(first)
    os.close(lock_pfs(folder / "pfs"))


@pytest.mark.parametrize(
    ("setting", "value", "command"),
    [
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (APPARMOR, "1", f"sudo sysctl -w {APPARMOR.replace('/', '.')}=0"),
    ],
)  # fmt: skip
def test_the_command_fits_the_system(tmp_path: Path, setting: str, value: str, command: str) -> None:
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    assert remedy(tmp_path) == f"To allow it, type: {command}"
    (tmp_path / setting).write_text("2\n")
    assert "--cap-add SYS_ADMIN" in remedy(tmp_path)


def test_a_mount_namespace_without_a_pid_namespace_ends_daemons_too(folder: Path, who: str) -> None:
    scratch, sandbox = scratch_for(who, folder), replace(sandbox_for(who), own_pids=False)
    if refusal := probe(sandbox, scratch):
        pytest.skip(f"namespaces are refused here: {refusal}")
    runner = AgentRunner(scratch, sandbox)
    try:
        command = Command(
            ["sh", "-c", f"(setsid sleep 77101.{os.getpid()} </dev/null >/dev/null 2>&1 &); touch /pfs/x"], ENV
        )
        assert runner.run(command, lambda *_: None).code == 0
        listing = b"\n".join(command_lines())
        assert b"sleep 77101.%d" % os.getpid() not in listing.splitlines()
    finally:
        runner.close()
    assert (scratch.pfs / "x").exists()


def test_an_image_is_laid_beside_what_the_machine_has_and_taken_away_again(folder: Path) -> None:
    for path in ("image/opt/tool/run", "image/alone", "top/opt/theirs"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    before = sorted((folder / "top").rglob("*"))
    laid = LaidImage(folder / "note", folder / "top")
    laid.lay(str(folder / "image"), str(folder))
    laid.lay(str(folder / "image"), str(folder))  # as it is: nothing to do
    assert (folder / "top/opt/tool/run").read_text() == "image/opt/tool/run"
    assert (folder / "top/alone").read_text() == "image/alone"
    assert (folder / "top/opt/theirs").read_text() == "top/opt/theirs"
    assert os.readlink(folder / "top/.venv") == str(folder)
    laid.lay("", "", building=True)
    (folder / "top/.venv/half").write_text("half an environment")
    LaidImage(folder / "note", folder / "top").lay("", "")  # a worker after one that was killed
    assert sorted((folder / "top").rglob("*")) == before


def test_nothing_of_the_machine_is_replaced_by_an_image(folder: Path) -> None:
    for path in ("image/etc/hosts", "image/new", "top/etc/hosts"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    laid = LaidImage(folder / "note", folder / "top")
    with pytest.raises(FailedPrecondition, match=r"/top/etc/hosts is there on this machine already"):
        laid.lay(str(folder / "image"), "")
    assert (folder / "top/etc/hosts").read_text() == "top/etc/hosts"
    assert not (folder / "top/new").exists()
