"""The same story as in tests/engines, longer, at instants drawn from the round's seed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.testing.killing import Harming, Killing
from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.soak


def test_nothing_is_lost_and_nothing_counted_twice(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    (tmp_path / "files").mkdir()
    with PachdProcess(tmp_path / "server", ("--workers", "2")) as server:
        Killing(server, tmp_path / "files", seed).play(kills=30)
    record_property("figures", "30 kills of everything")


@pytest.mark.timeout(7200)
def test_workers_that_are_killed_or_stopped_past_their_lease_lose_nothing_either(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    minutes = float(os.environ.get("MINUTES") or 20)
    (tmp_path / "files").mkdir()
    with PachdProcess(tmp_path / "server", ("--workers", "2")) as server:
        story = Harming(server, tmp_path / "files", seed, sizes=(10, 5000, 200_000))
        story.play_for(min(max(minutes, 1), 60))
        assert story.done
        said = (f"{what}: {count}" for what, count in sorted(story.done.items()))
        record_property("figures", f"{', '.join(said)}; {len(story.acknowledged)} files, each a datum")
