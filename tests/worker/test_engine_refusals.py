"""What an engine refuses passes, or does not."""

from __future__ import annotations

import pytest

from trunkline.worker.containers.engine import EngineAway, EngineFailed, _complaint, _failure


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("failed to create overlay: mkdir /x: no space left on device", EngineAway),
        ("unable to find user nobody: no matching entries", EngineFailed),
    ],
)
def test_a_full_disk_passes_and_a_wrong_spec_does_not(told: str, kind: type[Exception]) -> None:
    error = type("APIError", (Exception,), {"explanation": told})()
    assert type(_failure("it refuses", error)) is kind


def test_what_goes_wrong_in_the_middle_of_a_pull_is_found() -> None:
    assert _complaint('{"status":"Pulling"}\n{"error":"denied:\\n no"}\nnot JSON\n') == "denied: no"
    assert _complaint('{"status":"Pulling"}\n[]\n') == ""
