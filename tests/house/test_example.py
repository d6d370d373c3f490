"""The example's two programs, and where its photographs come from."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageDraw

HERE = Path(__file__).parent.parent.parent / "examples" / "opencv"


def load(name: str) -> ModuleType:
    """One of the example's programs as a module; they are no package and not on the path."""
    spec = importlib.util.spec_from_file_location(f"opencv_{Path(name).stem}", HERE / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


edges = load("image/edges.py")
montage = load("image/montage.py")
photographs = load("photographs.py")


def lines_of(drawing: Image.Image) -> np.ndarray:
    """Where a drawing is not ground."""
    return (np.asarray(drawing) != np.array(edges.BACKGROUND)).any(axis=2)


def test_the_edges_of_a_square_are_its_outline() -> None:
    picture = Image.new("RGB", (80, 60))
    ImageDraw.Draw(picture).rectangle((20, 15, 59, 44), fill="white")
    line = lines_of(edges.edges(picture))
    rows, columns = np.nonzero(line)
    assert (rows.min(), rows.max()) in {(14, 44), (15, 45), (14, 45), (15, 44)}
    assert (columns.min(), columns.max()) in {(19, 59), (20, 60), (19, 60), (20, 59)}
    assert not line[20:40, 25:55].any()
    assert not line[:10].any()
    assert line[20:40].any(axis=1).all()


def test_a_plain_picture_has_no_edges() -> None:
    drawing = edges.edges(Image.new("RGB", (40, 30), "orange"))
    assert drawing.size == (40, 30)
    assert not lines_of(drawing).any()


def test_every_picture_below_the_input_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "images/cats").mkdir(parents=True)
    Image.new("L", (20, 10)).save(tmp_path / "images/plain.png")
    Image.new("RGB", (10, 20)).save(tmp_path / "images/cats/one.jpg")
    edges.main(tmp_path / "images", tmp_path / "out")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("out/**/*.png")) == [
        "out/cats/one.png",
        "out/plain.png",
    ]


def test_the_montage_pairs_photographs_with_their_drawings(tmp_path: Path) -> None:
    for folder, suffix, colours in (
        ("a", ".jpg", ("red", "green", "blue")),
        ("b", ".png", ("white", "white", "white")),
    ):
        (tmp_path / folder).mkdir()
        for index, colour in enumerate(colours):
            Image.new("RGB", (30, 20), colour).save(tmp_path / folder / f"{index}{suffix}")
    Image.new("RGB", (30, 20)).save(tmp_path / "a/no-drawing.jpg")
    montage.main(tmp_path / "a", tmp_path / "b", tmp_path)
    with Image.open(tmp_path / "montage.png") as sheet:
        across, down = montage.CELL[0] + montage.GAP, montage.CELL[1] + montage.GAP
        assert sheet.size == (4 * across + montage.GAP, 2 * down + montage.GAP)
        assert sheet.getpixel((across + 50, 50)) == (255, 255, 255)
        blue = sheet.getpixel((50, down + 50))
        assert isinstance(blue, tuple)
        assert blue[2] > 250
        assert sheet.getpixel((2 * across + 50, down + 50)) == montage.GROUND


def test_the_photographs_come_out_of_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(folder: Path) -> Path:
        wheel = folder / "scikit_image-0-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name in (*photographs.FIRST, *photographs.SECOND):
                archive.writestr(f"skimage/data/{name}", name)
        return wheel

    monkeypatch.setattr(photographs, "download", download)
    photographs.fetch(tmp_path / "p")
    assert {path.name for path in (tmp_path / "p/first").iterdir()} == set(photographs.FIRST)
    assert (tmp_path / "p/second/coins.png").read_text() == "coins.png"
    monkeypatch.setattr(photographs, "download", lambda folder: pytest.fail("they are there already"))
    photographs.fetch(tmp_path / "p")


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "WHEEL", "scikit-image===no-such-version")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(photographs.NoPhotographs, match="Any pictures will do"):
        photographs.fetch(tmp_path / "p")


@pytest.mark.parametrize("name", ["edges", "montage"])
def test_the_specs_use_the_same_image_and_run_what_it_holds(name: str) -> None:
    spec = json.loads((HERE / f"{name}.json").read_text())
    assert spec["pipeline"]["name"] == name
    assert spec["transform"]["image"] == "opencv:1.0"
    assert (HERE / "image" / spec["transform"]["cmd"][1].lstrip("/")).is_file()
