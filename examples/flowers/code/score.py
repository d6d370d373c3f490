"""How many flowers of the test a model knows."""

from __future__ import annotations

import json
import os
from pathlib import Path

from nearest import kind_of

path = Path(os.environ["model"])
model = json.loads(path.read_text())
right = 0
for row in Path("/pfs/split/test.csv").read_text().split():
    leaf, petal, kind = row.split(",")
    right += kind_of(model, float(leaf), float(petal)) == kind
Path("/pfs/out", path.stem).write_text(f"{right}\n")
