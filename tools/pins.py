"""Write constraints.txt: the exact version of every package that this environment holds for the project.

Run by `make pins` after a change to the dependencies in pyproject.toml. Names and versions only: no hosts, no paths, so
that the file serves whatever registry a machine uses.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("server", "dev")
HEADER = "# Exact versions that `make` installs. Written by tools/pins.py (`make pins`); do not edit by hand.\n"


def closure(name: str, extras: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of `name` and of everything it needs here, by normalised name.

    Raises PackageNotFoundError if something that is needed is not installed.
    """
    found: dict[str, str] = {}
    waiting = [(name, extra) for extra in ("", *extras)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        package, extra = waiting.pop()
        key = re.sub(r"[-_.]+", "-", package).lower()
        if (key, extra) in seen:
            continue
        seen.add((key, extra))
        dist = metadata.distribution(package)
        found[key] = dist.version
        for line in dist.requires or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                waiting.extend((need.name, wanted) for wanted in ("", *need.extras))
    return found


def main() -> None:
    """Write the file in the project's root."""
    versions = closure("trunkline", EXTRAS)
    del versions["trunkline"]
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    root = Path(__file__).parent.parent
    (root / "constraints.txt").write_text(HEADER + "".join(lines))
    print(f"constraints.txt: {len(lines)} packages")


if __name__ == "__main__":
    main()
