"""What user code does that it should not: the datum says what happened, and the worker goes on with the next."""

from __future__ import annotations

import json

import pytest
from fakes import FakeServer, claim, datum, element
from worlds import World

from trunkline.worker.ports import Limits, Result, Step

LIMIT = Limits(disk_bytes=1 << 20, disk="1Mi")
LONG = "a" * 200


def run(world: World, script: str, **spec: object) -> tuple[FakeServer, Result]:
    """The script as one datum; the next one, run by the same worker, finds nothing of it."""
    after = "n=$(ls -A /pfs/out | wc -l); echo $n > /pfs/out/next; exit"
    code = f"if test $PACH_DATUM_ID = {1:064x}; then {after}; fi\n{script}"
    step = Step(("bash", "-c", code), **{"datum_tries": 1} | spec)  # type: ignore[arg-type]
    server = world.run(claim(step, [datum(0, element("/0.txt")), datum(1, element("/1.txt"))]))
    hazardous, other = server.all_results()
    assert other.reason == ""
    assert server.rows.pop()[:2] == ("/next", b"0\n")
    return server, hazardous


@pytest.mark.parametrize(
    ("script", "spec", "reason"),
    [
        ("trap '' TERM INT HUP; while :; do sleep 88011; done", {"timeout_us": 300_000}, "timed out after 0.3s"),
        ("kill -9 -1 2> /dev/null; kill -9 $$", {}, "killed by signal 9 (SIGKILL)"),
        ("for n in {1..9}; do head -c 200000 /dev/zero > /pfs/out/$n; done", {"limits": LIMIT},
         "disk limit 1Mi exceeded: /pfs/out holds 1800000 bytes"),
        ("exec head -c 2000000 /dev/zero > /pfs/out/x", {"limits": LIMIT}, "disk limit 1Mi exceeded"),
        ("exec 2> /dev/null; head -c 2000000 /dev/zero > /pfs/out/x; exit", {"limits": LIMIT},
         "exit 153; disk limit 1Mi exceeded"),
        ("mkdir /pfs/out/d; trap '' XFSZ; exec head -c 2000000 /dev/zero > /pfs/out/d/x", {"limits": LIMIT},
         "exit 1; disk limit 1Mi exceeded; last lines: head: error writing 'standard output': File too large"),
        ("head -c 2000000 /dev/zero > /pfs/out/x; echo never mind", {"limits": LIMIT},
         "disk limit 1Mi exceeded: /pfs/out holds 1048577 bytes"),
        ("touch $'/pfs/out/line\\nbreak'", {},
         "output file /pfs/out/line\\nbreak cannot be represented in PFS: "
         'path "/line\\nbreak" is invalid: control characters are not allowed (U+000A at character 6)'),
        ("touch $'/pfs/out/latin\\xe9'", {},
         "output file /pfs/out/latin\\xe9 cannot be represented in PFS: its name is not valid UTF-8"),
        ("ln -s /nowhere/x /pfs/out/l", {}, "/pfs/out/l is a link to /nowhere/x, which cannot be read"),
        ("ln -s a /pfs/out/b; ln -s b /pfs/out/a", {},
         "/pfs/out/a is a link to b, which leads nowhere: too many levels of symbolic links"),
        ("ln -s .. /pfs/out/up", {}, "/pfs/out/up is a link to .., which leads back to a folder it lies in"),
        ("ln -s / /pfs/out/all", {},
         "/pfs/out/all is a link to /, which cannot be read (/pfs/out/all: it leads back to a folder it lies in)"),
        ("ln -s /proc/self /pfs/out/p", {},
         "/pfs/out/p is a link to /proc/self, which cannot be read (/pfs/out/p: files of the kernel are not copied)"),
        (f"cd /pfs/out; for n in {{1..30}}; do mkdir {LONG}; cd {LONG}; done; touch f", {}, "File name too long"),
        ("rm -rf /pfs/out; echo x > /pfs/out", {},
         "/pfs/out is no longer a directory: write files into it, do not replace it"),
    ],
)  # fmt: skip
def test_the_reason_says_what_was_wrong(world: World, script: str, spec: dict[str, object], reason: str) -> None:
    server, result = run(world, script, **spec)
    if reason == "File name too long":
        assert reason in result.reason
    else:
        assert result.reason == reason
    assert not server.rows
    assert json.dumps(result.reason, ensure_ascii=False)[1:-1] in world.storage.log()


@pytest.mark.parametrize(
    ("script", "spec"),
    [
        ("echo x > /pfs/out/x", {"stdin": ("y" * 70_000,) * 10}),
        ("exec 0<&- 1>&- 2>&-; echo x > /pfs/out/x", {}),
        ("sleep 88013 & disown; echo x > /pfs/out/x", {}),
        ("(setsid nohup sleep 88014 > /dev/null 2>&1 &); echo x > /pfs/out/x", {}),
        ("ln -s /tmp/x /pfs/out/x; echo x > /tmp/x", {}),
        ("mkfifo /pfs/out/p; mkdir -p /pfs/out/e/f; echo x > /pfs/out/x", {}),
        ("echo x > /pfs/out/x; chmod 0 /pfs/out/x /pfs/out /pfs", {}),
    ],
    ids=["leaves stdin", "closes streams", "leaves a child", "leaves a daemon", "links out", "pipes", "closes folders"],
)
def test_what_does_no_harm(world: World, script: str, spec: dict[str, object]) -> None:
    server, result = run(world, script, **spec)
    assert result.reason == ""
    assert [(path, content) for path, content, _ in server.rows] == [("/x", b"x\n")]


def test_a_daemon_writes_no_more_once_its_datum_has_ended(world: World) -> None:
    daemon = "(setsid bash -c 'trap \"\" TERM; while :; do echo x >> /pfs/out/late; done' > /dev/null 2>&1 &)"
    server, result = run(world, f"{daemon}; until test -s /pfs/out/late; do :; done")
    assert result.reason == ""
    assert [path for path, _, _ in server.rows] == ["/late"]


def test_what_is_printed_is_shown_as_text_and_in_lines(world: World) -> None:
    every = "for n in $(seq 0 255); do printf \"\\\\$(printf %03o $n)\"; done; printf '\\342\\200\\250 \\302\\205'"
    script = f"{every}; printf '\\0\\xff\\n'; head -c 300000 /dev/zero | tr '\\0' y; echo >&2 end"
    _, result = run(world, script)
    assert result.reason == ""
    lines = [json.loads(line)["message"] for line in world.storage.log().removesuffix("\n").split("\n")]
    assert "".join(map(chr, range(10))) in lines
    assert any("\x0b\x0c\r\x0e" in line and "~\x7f\ufffd" in line for line in lines)
    assert any("\u2028 \x85" in line for line in lines), "what Python takes for the end of a line is none"
    assert [len(line) for line in lines if line.strip("y") == "" and line] == [65536] * 4 + [300_000 - 4 * 65536]
    assert any(line.endswith("\0\ufffd") for line in lines)
    assert "end" in lines
