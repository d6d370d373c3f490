"""What user code does, and what becomes of its datum: a real agent, a server in memory."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from fakes import bench_for, claim, datum, element
from housing import sandbox_for
from worlds import World

from trunkline.worker.inputs.environment import inherited
from trunkline.worker.launch import CannotBuild
from trunkline.worker.ports import Image, State, Step

REPLACED = "/pfs/out is no longer a directory: write files into it, do not replace it"


def test_datums_run_in_order_and_their_output_is_tagged(world: World) -> None:
    datums = [datum(row, element(f"/{row}.txt")) for row in range(10)]
    step = Step(("sh", "-c", "cp /pfs/images/* /pfs/out; echo at $images"))
    server = world.run(claim(step, datums))
    assert sorted(server.rows) == sorted((f"/{row}.txt", b"%d\n" % row, f"{row:064x}") for row in range(10))
    assert [result.state for result in server.all_results()] == [State.SUCCESS] * 10
    assert server.reports[-1] == ("claim-1", 10)
    lines = [json.loads(line) for line in world.storage.log().splitlines()]
    assert [line["message"] for line in lines if line["user"]] == [f"at /pfs/images/{row}.txt" for row in range(10)]
    assert [line["message"] for line in lines if not line["user"]] == [
        f"datums 0 to 9 of job default/edges@{'0' * 31}1 begin",
        "datums 0 to 9 end",
    ]
    result = server.all_results()[3]
    assert (result.tries, result.download_bytes, result.upload_bytes, result.files) == (1, 2, 2, 1)
    assert result.process_us > 0


def test_what_code_used_is_summed_over_its_tries_and_the_most_memory_counts(world: World) -> None:
    # Each try uses 0.2 s of CPU by its own count, however slow or busy the machine is.
    burn = "import time; kept = bytearray(64 << 20)\nwhile time.process_time() < 0.2: pass\nraise SystemExit(1)"
    # Where that is kept, and not in the environment of the tests: what lies below /tmp is not shown to code.
    code = f"exec {os.path.realpath(sys.executable)} -IS -c '{burn}'"
    server = world.one(code, err_cmd=("true",), datum_tries=2)
    once = world.one(code, err_cmd=("true",), datum_tries=1)
    (twice,), (single,) = server.all_results(), once.all_results()
    assert single.cpu_us >= 190_000
    assert twice.cpu_us >= 390_000
    assert 64 << 20 <= twice.memory_bytes < 128 << 20
    (idle,) = world.one("true").all_results()
    assert 0 < idle.memory_bytes < 64 << 20


def test_what_code_prints_of_its_secrets_is_not_kept(world: World) -> None:
    script = 'echo "the token is $TOKEN"; echo "$TOKEN" >&2; exit 3'
    result = world.one(script, secret_env={"TOKEN": b"hunter22"}, datum_tries=1).all_results()[0]
    assert result.reason == "exit 3; last lines: the token is *** ⏎ ***"
    assert "the token is ***" in world.storage.log()
    assert "hunter22" not in world.storage.log()


def test_a_second_claim_uses_the_same_agent(world: World) -> None:
    step = Step(("sh", "-c", "cp -r /pfs/images/* /pfs/out"))
    claims = [claim(step, [datum(row, element(f"/{row}.txt"))], id=f"c{row}") for row in range(3)]
    server = world.run(*claims)
    assert {path for path, _, _ in server.rows} == {"/0.txt", "/1.txt", "/2.txt"}
    assert [result.row for result in server.all_results()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("script", "spec", "state", "reason"),
    [
        ("echo no; echo so sorry >&2; exit 4", {}, "FAILED", "exit 4 after 3 tries; last lines: no ⏎ so sorry"),
        ("kill -9 $$", {}, "FAILED", "killed by signal 9 (SIGKILL) after 3 tries"),
        ("sleep 88001", {"timeout_us": 100_000}, "FAILED", "timed out after 0.1s in the last of 3 tries"),
        ("ln -s nowhere /pfs/out/l", {}, "FAILED", "/pfs/out/l is a link to nowhere, which does not exist"),
        ("rm -rf /pfs/out; ln -s /etc /pfs/out", {}, "FAILED", REPLACED),
        ("exit 4", {"accept_return_code": frozenset({4})}, "SUCCESS", ""),
        ("exit 4", {"err_cmd": ("true",)}, "RECOVERED", "recovered by err_cmd: exit 4 after 3 tries"),
        ("exit 4", {"err_cmd": ("false",)}, "FAILED", "exit 4 after 3 tries; err_cmd: exit 1"),
        ("exit 4", {"working_dir": "/nowhere"}, "FAILED", 'working directory "/nowhere": No such file or directory'),
        ("cat", {"stdin": ("exit 9",)}, "SUCCESS", ""),
        ("(setsid sleep 88002 &) ; exit 0", {}, "SUCCESS", ""),
    ],
)  # fmt: skip
def test_how_a_datum_ends(world: World, script: str, spec: dict[str, object], state: str, reason: str) -> None:
    server = world.one(script, **spec)
    (result,) = server.all_results()
    assert (result.state.value, result.reason) == (state, reason)
    if state != "SUCCESS":
        assert server.rows == []
        assert json.dumps(reason, ensure_ascii=False)[1:-1] in world.storage.log()


def test_a_missing_command_says_where_it_was_looked_for(world: World) -> None:
    step = Step(("no-such-program", "x"), image=Image(env={"PATH": "/bin:/opt/x"}))
    (result,) = world.run(claim(step, [datum(0, element("/1.txt"))])).all_results()
    ours = Path(sys.executable).parent  # where pachctl lies
    assert result.reason == f'command "no-such-program" not found; looked in /bin, /opt/x, {ours}'


def test_output_of_failed_attempts_is_gone(world: World) -> None:
    script = "touch /pfs/out/try-$(ls /tmp | wc -l); touch /tmp/again-$(ls /tmp | wc -l); test $(ls /tmp | wc -l) -gt 3"
    server = world.one(script)
    assert [path for path, _, _ in server.rows] == ["/try-3"]
    assert server.all_results()[0].tries == 3


def test_variables_files_and_dot_env(world: World) -> None:
    script = """. /pfs/.env; env | sort > /pfs/out/env; cat "$images"
        find -L /pfs -path /pfs/out -prune -o -type f -print | sort > /pfs/out/files"""
    step = Step(("sh", "-c", script), env={"MINE": "a b", "HOME": "/x", "PACH_JOB_ID": "forged"})
    server = world.run(claim(step, [datum(0, element("/1.txt", join_on="1"))]))
    rows = {path: content for path, content, _ in server.rows}
    env = dict(line.partition("=")[::2] for line in rows["/env"].decode().splitlines())  # type: ignore[attr-defined]
    assert (
        env.items()
        >= {
            "MINE": "a b",
            "HOME": "/tmp/home",
            "PACH_JOB_ID": "0" * 31 + "1",
            "PACH_OUTPUT_COMMIT_ID": "0" * 31 + "1",
            "PACH_DATUM_ID": "0" * 64,
            "PACH_DATUM_images_JOIN_ON": "1",
            "images": "/pfs/images/1.txt",
            "images_COMMIT": "c" * 32,
            "PPS_PIPELINE_NAME": "edges",
            "PPS_PROJECT_NAME": "default",
        }.items()
    )
    assert rows["/files"] == b"/pfs/.env\n/pfs/images/1.txt\n"
    assert '"message": "1"' in world.storage.log()


def test_inputs_are_read_only_unless_the_spec_asks(world: World) -> None:
    script = "echo more >> /pfs/images/1.txt; rm -f /pfs/images/1.txt; cat /pfs/images/1.txt > /pfs/out/x"
    assert world.one(script).rows[0][1] == b"1\n"
    server = world.one("echo more >> /pfs/images/1.txt; cat /pfs/images/1.txt > /pfs/out/x", writable_inputs=True)
    assert server.rows[0][1] == b"1\nmore\n"
    assert world.one("cp /pfs/images/1.txt /pfs/out").rows[0][1] == b"1\n"


def test_links_to_inputs_are_references_and_to_elsewhere_are_bytes(world: World) -> None:
    script = "ln -s $images /pfs/out/same; echo tmp > /tmp/t; ln -s /tmp/t /pfs/out/copied"
    server = world.one(script)
    assert {path: content for path, content, _ in server.rows} == {
        "/same": ("images", "c" * 32, "/1.txt"),
        "/copied": b"tmp\n",
    }


def test_closed_files_are_opened_by_the_agent(world: World) -> None:
    server = world.one("mkdir /pfs/out/d; echo x > /pfs/out/d/f; chmod 0 /pfs/out/d/f /pfs/out/d; chmod 0 /pfs/out")
    assert server.rows[0][:2] == ("/d/f", b"x\n")
    assert world.one("touch /pfs/out/y").rows[0][0] == "/y"


def test_sockets_are_told_in_the_log(world: World) -> None:
    assert world.one("mkfifo /pfs/out/p; echo x > /pfs/out/f").rows[0][0] == "/f"
    assert "/pfs/out/p is a named pipe and was not uploaded" in world.storage.log()


def test_a_flood_of_output_ends_well(world: World) -> None:
    server = world.one("head -c 20000000 /dev/zero | tr '\\0' x | fold -w 4000; echo end >&2")
    assert server.all_results()[0].state is State.SUCCESS
    assert "more bytes of output are not kept" in world.storage.log()


def test_an_image_that_does_not_exist_fails_its_datums_with_the_reason(world: World) -> None:
    step = Step(("true",), image=Image("deadbeef", "python:3"))
    results = world.run(claim(step, [datum(row, element(f"/{row}.txt")) for row in range(3)])).all_results()
    assert [result.state for result in results] == [State.FAILED] * 3
    assert "no image deadbeef" in results[0].reason


def test_cannot_build_is_a_reason_too(folder: Path) -> None:
    """A sandbox that cannot be built: each datum says so, none runs."""
    bench = bench_for(sandbox_for("self", exposed=("/no/such/path",)), folder)
    try:
        with pytest.raises(CannotBuild):
            bench.runner(claim(Step(("true",)), [datum(0)]), print)
        (result,) = World(bench).one("true").all_results()
        assert result.state is State.FAILED
        assert "/no/such/path" in result.reason
    finally:
        bench.close()


def test_the_page_for_users_names_every_variable(world: World) -> None:
    page = (Path(__file__).parents[2] / "docs" / "user-code.md").read_text()
    table = page.partition("## Variables")[2].partition("## How")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    found = world.run(claim(Step(("cat", "/pfs/.env")), [datum(0, element("/1.txt", join_on="1", group_by="2"))]))
    assert found.all_results()[0].state is State.SUCCESS
    lines = [json.loads(line) for line in world.storage.log().splitlines()]
    set_ = {line["message"].partition("=")[0].replace("images", "<input>") for line in lines if line["user"]}
    own = {name for name in set_ if name in ("PATH", "HOME") or not inherited(name)}
    of_the_pool = {name for name in named if name.startswith("PACHD_") or name in ("PPS_POD_NAME", "PPS_NAMESPACE")}
    of_buckets = {name for name in named if name.startswith(("S3_", "AWS_"))}
    of_batching = {name for name in named if name.startswith("PPS_WORKER_")}
    assert own == named - of_the_pool - of_buckets - of_batching - {"VIRTUAL_ENV", "PACH_NAMESPACE"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root may run code as somebody else")
def test_code_of_another_user_writes_what_only_it_may_read(world: World) -> None:
    script = "umask 077; mkdir /pfs/out/d; cp $images /pfs/out/d/f; id -un > /pfs/out/who; cat ~/x || touch $HOME/x"
    server = world.one(script, user="daemon")
    assert {path: content for path, content, _ in server.rows} == {"/d/f": b"1\n", "/who": b"daemon\n"}
