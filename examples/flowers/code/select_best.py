"""Keeps the model that knew most; of equals the first by name."""

from __future__ import annotations

import shutil
from pathlib import Path

results = {path.name: int(path.read_text()) for path in Path("/pfs/test").iterdir()}
best = min(results, key=lambda name: (-results[name], name))
print(f"{best} knew {results[best]}")
shutil.copy(f"/pfs/model/{best}.json", "/pfs/out/model.json")
