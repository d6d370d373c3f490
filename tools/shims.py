"""Compile the shim (src/trunkline/worker/shim) for each kind of machine with ziglang.

    python tools/shims.py [--zig PYTHON] [--into FOLDER]

--zig: an interpreter that has ziglang (default: this one). --into: where a wheel takes the programs from; without it
they go where `trunkline.worker.shim.program` keeps what it compiled, and what is there already stays.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from trunkline.worker.shim.program import MACHINES, compile_for, kept, with_zig


def main() -> None:
    """Compile."""
    given = argparse.ArgumentParser()
    given.add_argument("--zig", default=sys.executable)
    given.add_argument("--into", type=Path)
    told = given.parse_args()
    for machine in MACHINES:
        target = told.into / f"shim-{machine}" if told.into else kept(machine)
        if told.into or not target.exists():
            compile_for(machine, target, with_zig(machine, told.zig))
        print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
