"""The benchmarks' table and the soak report, from figures made up for the purpose."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """bench/ and soak/ are folders of programs, no packages."""
    for name in ("run", "rows", "measure", "machine"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_goal_beside_a_peer_moves_with_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import run
    from rows import ROWS

    row = next(each for each in ROWS if each.name == "datums")
    figures = {row.ours: [9.0, 4.0, 5.0], row.peers[0]: [1.0, 4.0, 3.0]}
    assert run.verdict(row, figures) == ("1.5 × xargs -P2 cp + 0.5 s = 5.00 s", "1.00 × the goal")


def test_the_table_has_a_line_for_each_row_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import run
    from rows import ROWS

    row = next(each for each in ROWS if each.name == "many-files")
    figures = {row.ours: [12.0, 10.0, 20.0]} | {name: [1.25] for name in row.peers}
    figures["memory of pachd"] = [300 * 2.0**20]
    table = run.report({row.name: figures}).splitlines()
    assert len(table) == 3
    assert "**12.00 s (10.00 to 20.00)**" in table[2]
    assert "1.20 × the goal" in table[2]
    assert "pachd: 300 MiB (300 to 300)" in table[2]


def test_rows_have_names_of_their_own_and_a_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    from rows import ROWS

    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.factor or row.goal for row in ROWS)


def test_an_unknown_row_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import run

    monkeypatch.setenv("ROW", "big-file,bogus")
    with pytest.raises(SystemExit, match=r"no row bogus; there are big-file, "):
        run.chosen()


def test_trees_of_small_files_replay_from_their_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import rows

    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        rows.small_files(tmp_path / name, 3, seed)
    bodies = {name: [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.txt"))] for name in "abc"}
    assert bodies["a"] == bodies["b"] != bodies["c"]
    assert all(len(body) == rows.SMALL_FILE_BYTES for body in bodies["a"])
    assert len(set(bodies["a"])) == 3


def test_a_failed_soak_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "soak"))
    import run

    page = run.report([run.Round(7, {"passed": 3}, 60.0, 0), run.Round(8, {"passed": 2, "failed": 1}, 30.0, 1)])
    assert "Seed 8 failed." in page
    assert "| 8 | 2 passed, 1 failed | 30 s |" in page
    assert "2 rounds in 2 minutes" in page
