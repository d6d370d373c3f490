"""Lay photographs and the drawings of their edges side by side in one picture.

python montage.py               /pfs/images and /pfs/edges, into /pfs/out/montage.png
python montage.py A B TO        the same with folders of your own
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageOps

CELL = (300, 200)  # width and height of one picture, pixels
GAP = 6
GROUND = (13, 17, 23)
PAIRS_ACROSS = 2


def pictures(folder: Path) -> dict[str, Path]:
    """Every file below `folder`, by its path without the suffix: a photograph and its drawing share that name."""
    return {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*")) if path.is_file()}


def montage(photographs: dict[str, Path], drawings: dict[str, Path]) -> Image.Image:
    """A sheet of pairs, in order of name: each photograph with its drawing to the right. Half a pair is left out."""
    names = sorted(photographs.keys() & drawings.keys())
    rows = -(-len(names) // PAIRS_ACROSS)
    across, down = CELL[0] + GAP, CELL[1] + GAP
    sheet = Image.new("RGB", (2 * PAIRS_ACROSS * across + GAP, max(rows, 1) * down + GAP), GROUND)
    for index, name in enumerate(names):
        row, pair = divmod(index, PAIRS_ACROSS)
        for column, path in enumerate((photographs[name], drawings[name])):
            with Image.open(path) as picture:
                cell = ImageOps.fit(picture.convert("RGB"), CELL, Image.Resampling.LANCZOS, centering=(0.5, 0.15))
            sheet.paste(cell, (GAP + (2 * pair + column) * across, GAP + row * down))
    return sheet


def main(images: Path, edges: Path, target: Path) -> None:
    """Write `montage.png` to the folder `target`."""
    photographs, drawings = pictures(images), pictures(edges)
    sheet = montage(photographs, drawings)
    sheet.save(target / "montage.png")
    print(f"montage.png: {len(photographs.keys() & drawings.keys())} pairs, {sheet.width} by {sheet.height} pixels")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4] or ("/pfs/images", "/pfs/edges", "/pfs/out")))
