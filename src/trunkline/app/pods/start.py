"""`python -m trunkline.app.pods.start SHIM FOLDER...`: what the init container of a pod does.

It puts the shim where the code's container is started by it, and makes folders that are to be the worker's own.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from trunkline.worker.shim.program import program


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy it, and make them."""
    place, *folders = map(Path, sys.argv[1:] if arguments is None else arguments)
    shutil.copyfile(program(), place)
    place.chmod(0o755)
    for folder in folders:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main())
