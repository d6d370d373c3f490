"""Names the kinds of unknown flowers."""

from __future__ import annotations

import json
from pathlib import Path

from nearest import kind_of

model = json.loads(Path("/pfs/select/model.json").read_text())
for path in Path("/pfs/unknown").iterdir():
    leaf, petal = map(float, path.read_text().split(","))
    Path("/pfs/out", path.stem).write_text(kind_of(model, leaf, petal) + "\n")
