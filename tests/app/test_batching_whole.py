"""Code that is started once and asks for its datums, by `pachctl next datum` on a real server."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole import Site

from trunkline.ambient import RealAmbient
from trunkline.pps.claims.leases import SMALLEST_LEASE
from trunkline.testing.serving import PachdProcess

AMBIENT = RealAmbient()
pytestmark = pytest.mark.timeout(180)

CODE = """
echo started >> /tmp/starts-$PPS_PIPELINE_NAME
while true; do
    pachctl next datum $WRONG
    WRONG=
    . /pfs/.env
    name=$(basename $in)
    cp $in /pfs/out/$name; cat /tmp/starts-$PPS_PIPELINE_NAME | wc -l > /pfs/out/$name-starts
    test $name != bad || WRONG="--error no-good"
    test $name != late || exit 7
done
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("batching"), ["--workers", "1"]) as server:
        yield Site(server)


def test_one_process_does_all_datums_of_a_job_and_ends_with_it(site: Site) -> None:
    """Though the worker takes them by ranges."""
    site.pachctl("create", "repo", "once-in")
    site.put("once-in", **{f"f{n}": f"content {n}" for n in range(2 * SMALLEST_LEASE + 1)})
    site.create("once", {"cmd": ["sh", "-c", CODE, "once-code"], "datum_batching": True})
    assert site.counts("once") == ("success", 2 * SMALLEST_LEASE + 1, 0), site.job("once").get("reason")
    tree = site.tree("once")
    assert {path: text for path, text in tree.items() if not path.endswith("-starts")} == {
        f"/f{n}": f"content {n}" for n in range(2 * SMALLEST_LEASE + 1)
    }
    assert {text.strip() for path, text in tree.items() if path.endswith("-starts")} == {"1"}
    deadline_s = AMBIENT.ticks_s() + 30
    while running("once-code"):
        assert AMBIENT.ticks_s() < deadline_s
        AMBIENT.sleep(0.05)


def running(word: str) -> bool:
    """Whether a process has this word on its command line."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in line.read_bytes().split(b"\0"):
                return True
    return False


def test_a_process_is_started_anew_for_the_next_job(site: Site) -> None:
    site.pachctl("create", "repo", "anew-in")
    for name in ("first", "second"):
        site.put("anew-in", **{name: name})
        if name == "first":
            site.create("anew", {"cmd": ["sh"], "stdin": [CODE], "datum_batching": True})
        assert site.counts("anew")[0] == "success"
    assert site.tree("anew")["/second-starts"].strip() == "2"


def test_a_process_gets_as_many_datums_as_the_spec_says(site: Site) -> None:
    site.pachctl("create", "repo", "sets-in")
    site.put("sets-in", **{f"f{n}": f"content {n}" for n in range(5)})
    more = {"datum_set_spec": {"number": 2}}
    site.create("sets", {"cmd": ["sh"], "stdin": [CODE], "datum_batching": True}, **more)
    assert site.counts("sets") == ("success", 5, 0)
    starts = [int(text) for path, text in site.tree("sets").items() if path.endswith("-starts")]
    assert starts == [1, 1, 2, 2, 3]


SOCKET = """
import os, socket
here = socket.socket(socket.AF_UNIX)
here.connect(os.environ["PPS_WORKER_SOCKET"])
wrong = b""
while True:
    here.sendall(wrong + bytes(1))
    block = b""
    while not block.endswith(bytes(2)):
        block += here.recv(65536)
    told = dict(line.split("=", 1) for line in block[:-2].decode().split(chr(0)))
    name = os.path.basename(told["in"])
    env = open("/pfs/.env").read()
    text = open(told["in"]).read()
    open("/pfs/out/" + name, "w").write(f"{text} {told['PACH_DATUM_ID'] in env} {os.getpid()}")
    wrong = b"no-good" if name == "bad" else b""
"""


def test_code_asks_at_a_socket_without_any_library(site: Site) -> None:
    """Across the ranges that the worker takes; what it says of a datum fails that one alone."""
    site.pachctl("create", "repo", "plain-in")
    site.put("plain-in", bad="x", **{f"f{n}": f"content {n}" for n in range(2 * SMALLEST_LEASE)})
    site.create("plain", {"cmd": [sys.executable, "-c", SOCKET], "datum_batching": True}, datum_tries=1)
    job = site.job("plain")
    assert (job["state"], job["data_processed"], job["data_failed"]) == ("JOB_FAILURE", "32", "1"), job
    assert "the code says: no-good" in job["reason"]
    site.pachctl("delete", "file", "plain-in@master:/bad")
    assert site.counts("plain") == ("success", 0, 32)
    tree = {path: text.rsplit(" ", 1) for path, text in site.tree("plain").items()}
    assert {path: text for path, (text, _) in tree.items()} == {
        f"/f{n}": f"content {n} True" for n in range(2 * SMALLEST_LEASE)
    }


CANCEL = """
import os, time
from pathlib import Path
import grpc
from trunkline.wire.gen.pachyderm_worker_pb2 import CancelRequest
from trunkline.wire.gen.pachyderm_worker_pb2_grpc import WorkerStub

worker = WorkerStub(grpc.insecure_channel("127.0.0.1:" + os.environ["PPS_WORKER_GRPC_PORT"]))
job, once = os.environ["PACH_JOB_ID"], Path("/tmp/once")
others = [("0" * 32, "/a"), (job, "/b")]
told = [worker.Cancel(CancelRequest(job_id=each, data_filters=[path])).success for each, path in others]
if not once.exists():
    once.touch()
    Path("/pfs/out/first").touch()
    worker.Cancel(CancelRequest(job_id=job, data_filters=["/a"]))
    time.sleep(60)
Path("/pfs/out/second").write_text(str(told))
"""


def test_a_worker_starts_its_datum_over_when_it_is_told_so(site: Site) -> None:
    """By the call that a master of the original makes; other jobs and other datums are not touched."""
    site.pachctl("create", "repo", "over-in")
    site.put("over-in", a="1")
    site.create("over", {"cmd": [sys.executable, "-"], "stdin": CANCEL.splitlines()}, datum_tries=1)
    assert site.counts("over") == ("success", 1, 0), site.job("over").get("reason")
    assert site.tree("over") == {"/second": "[False, False]"}


def test_an_error_or_an_early_end_fails_the_datum_in_hand_and_no_other(site: Site) -> None:
    site.pachctl("create", "repo", "some-in")
    site.put("some-in", a="1", bad="2", late="3", z="4")
    site.create("some", {"cmd": ["sh"], "stdin": [CODE], "datum_batching": True}, datum_tries=1)
    job = site.job("some")
    assert (job["state"], job["data_processed"], job["data_failed"]) == ("JOB_FAILURE", "2", "2"), job
    told = site.pachctl("logs", "--pipeline", "some", "--raw")
    assert "the code says: no-good" in told
    assert "exit 7" in told
