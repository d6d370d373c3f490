"""Draw the edges of photographs, after John Canny's method (A Computational Approach to Edge Detection, 1986).

    python edges.py                 every picture below /pfs/images, into /pfs/out
    python edges.py FROM TO         the same with folders of your own

Each edge keeps the colour of the photograph beside it, so that the drawing is still recognised when it is small.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

BLUR_PX = 1.3  # wide enough to drop film grain and JPEG blocks, narrow enough to keep a cat's whiskers
STRONG, WEAK = 88, 70  # percentiles of the ridges: an edge starts at a strong pixel and goes on through weak ones
BACKGROUND = (13, 17, 23)


def gradient(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much brightness changes across and down at each pixel (Sobel's operator, of 1968)."""
    p = np.pad(grey, 1, mode="edge")
    across = p[:-2, 2:] + 2 * p[1:-1, 2:] + p[2:, 2:] - p[:-2, :-2] - 2 * p[1:-1, :-2] - p[2:, :-2]
    down = p[2:, :-2] + 2 * p[2:, 1:-1] + p[2:, 2:] - p[:-2, :-2] - 2 * p[:-2, 1:-1] - p[:-2, 2:]
    return across, down


def shifted(a: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The neighbour of every pixel that lies `rows` below and `columns` to the right of it; zero outside."""
    p = np.pad(a, 1)
    height, width = a.shape
    return p[1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]


def ridges(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The strength of the change where it is larger than on both sides along its own direction, else zero."""
    strength = np.hypot(across, down)
    eighth = np.round(np.arctan2(down, across) / (np.pi / 4)).astype(int) % 4
    keep = np.zeros(strength.shape, dtype=bool)
    for direction, (rows, columns) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):
        ahead, behind = shifted(strength, rows, columns), shifted(strength, -rows, -columns)
        keep |= (eighth == direction) & (strength > ahead) & (strength >= behind)
    return np.where(keep, strength, 0)


def connected(strong: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """The weak pixels that a chain of weak pixels ties to a strong one, and the strong ones."""
    found = strong
    while True:
        grown = found.copy()
        for rows in (-1, 0, 1):
            for columns in (-1, 0, 1):
                grown |= shifted(found, rows, columns)
        grown &= weak
        if (grown == found).all():
            return found
        found = grown


def edges(photograph: Image.Image) -> Image.Image:
    """A drawing of the same size: edges in the photograph's colours on a dark ground."""
    colours = photograph.convert("RGB")
    grey = np.asarray(colours.convert("L").filter(ImageFilter.GaussianBlur(BLUR_PX)), dtype=np.float32)
    ridge = ridges(*gradient(grey))
    heights = ridge[ridge > 0]
    drawing = np.full((*grey.shape, 3), BACKGROUND, dtype=np.float32)
    if heights.size:
        strong, weak = np.percentile(heights, (STRONG, WEAK))
        line = connected(ridge >= strong, ridge >= weak)
        near = np.asarray(colours.filter(ImageFilter.MaxFilter(3)), dtype=np.float32) + 1
        bright = near * (255 / near.max(axis=2, keepdims=True))
        drawing[line] = (0.35 * 255 + 0.65 * bright)[line]
    return Image.fromarray(drawing.astype(np.uint8))


def main(source: Path, target: Path) -> None:
    """Draw each picture below `source` to a PNG of the same name below `target`."""
    for path in sorted(each for each in source.rglob("*") if each.is_file()):
        with Image.open(path) as photograph:
            drawing = edges(photograph)
        out = (target / path.relative_to(source)).with_suffix(".png")
        out.parent.mkdir(parents=True, exist_ok=True)
        drawing.save(out)
        print(f"{path.name}: {drawing.width} by {drawing.height} pixels")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3] or ("/pfs/images", "/pfs/out")))
