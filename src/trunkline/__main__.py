"""`python -m trunkline` and the `pachd` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the server; its exit code."""
    from trunkline.app.server import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
