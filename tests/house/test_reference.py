"""The pages that are written from the code are what the code says today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NAMES = (
    "docs/chart.md",
    "docs/pachctl.md",
    "docs/states.md",
    "docs/errors.md",
    "docs/calls.md",
    "docs/spec.md",
    "src/trunkline/model/specs/reference/pipeline.schema.json",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_written_page_is_up_to_date(name: str) -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.PAGES) == set(NAMES)
    assert (ROOT / name).read_text() == module.PAGES[name](), "make docs writes it anew"
