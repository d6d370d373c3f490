"""The same story as in tests/engines, for the length of fifty jobs."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.ambient import chance

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
from harms import HARMS, Story
from pods import need, pod_site, real_cluster

JOBS = 50


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fifty_jobs_end_well_whatever_happens_to_their_pods(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    need("TRUNKLINE_NODE")
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    draw = chance(seed + 1)
    with pod_site(tmp_path) as site:
        story = Story(site, real_cluster(), seed)
        story.play([draw.choice(HARMS) for _ in range(JOBS)])
        said = (f"{what}: {count}" for what, count in sorted(Counter(story.done).items()))
        record_property("figures", f"{', '.join(said)}; {len(story.files)} files, each a datum")
