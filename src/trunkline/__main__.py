"""`python -m trunkline` and the `pachd` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the server, and end the process with its exit code."""
    from trunkline.app.memory import columns_from_jemalloc

    columns_from_jemalloc()
    from trunkline.app.server import main as serve

    code = serve()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed and on disk. Taking the interpreter apart would wait for threads and help nobody.
    os._exit(code)


if __name__ == "__main__":
    main()
