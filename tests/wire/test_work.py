"""What claims and reports carry survives the wire."""

from __future__ import annotations

import pyarrow as pa
import pytest

from trunkline.wire.work import DATUMS, WorkImage, WorkInput, WorkStep, table_from_bytes, table_to_bytes


def test_a_step_comes_back_as_it_went():
    step = WorkStep(
        cmd=("python3", "/edges.py"),
        env={"A": "ä"},
        accept_return_code=(3,),
        image=WorkImage(name="edges", digest="ab"),
        inputs=(WorkInput(name="images", project="default", repo="images", branch="master", commit="0" * 32),),
    )
    assert WorkStep.from_bytes(step.to_bytes()) == step


def test_datums_come_back_as_they_went():
    element = {"input": 0, "path": "/a", "is_dir": False, "hash": b"h" * 32, "size": 3, "join_on": None}
    rows = [{"row": 7, "id": "x", "deaths": 1, "elements": [{**element, "group_by": "g"}]}]
    table = pa.Table.from_pylist(rows, DATUMS)
    assert table_from_bytes(table_to_bytes(table), DATUMS).to_pylist() == rows


def test_another_table_is_refused():
    with pytest.raises((pa.ArrowInvalid, KeyError)):
        table_from_bytes(table_to_bytes(pa.table({"a": [1]})), DATUMS)
