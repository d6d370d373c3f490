"""The image's recipe: small, pinned, without rights; and the image of the tests is made like it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from trunkline import __version__

ROOT = Path(__file__).parent.parent.parent
FILE = (ROOT / "deploy" / "image" / "Dockerfile").read_text()
FINAL = FILE.rpartition("\nFROM ")[2].replace("\\\n", " ")


def said(word: str) -> list[str]:
    return re.findall(rf"^{word} +(.*)$", FINAL, re.MULTILINE)


def test_its_base_is_pinned_and_so_are_its_packages() -> None:
    (base,) = re.findall(r"^ARG BASE=(.*)$", FILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)
    assert re.findall(r"^FROM (\S+)", FILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert f"--build-arg BASE={base}@sha256:" in FILE, "how to pin it by its digest"
    assert "-c constraints.txt '.[server,postgres,egress]'" in FILE
    assert f"trunkline/trunkline:{__version__} ." in FILE
    zig = re.findall(r"ziglang==\S+", FILE)
    assert zig == re.findall(r"ziglang==\S+", (ROOT / "tools" / "wheel.sh").read_text())[:1]


def test_what_is_built_does_not_lie_in_the_image() -> None:
    """No compiler, no sources, no installer, no lists of packages; and nothing of a checkout but what is installed."""
    assert re.findall(r"^COPY (.*)$", FINAL, re.MULTILINE) == ["--from=built /opt/trunkline /opt/trunkline"]
    assert FINAL.count("apt-get install") == FINAL.count("--no-install-recommends") == 1
    assert "rm -rf /var/lib/apt/lists/*" in FINAL
    assert "pip uninstall -y pip" in FILE
    assert set(re.findall(r"install --\S+", FILE)) == {"install --no-cache-dir"}
    assert (ROOT / ".dockerignore").read_text().splitlines()[0] == "*"


def test_it_says_what_the_image_of_the_tests_says() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "engines"))
    import archives

    told: dict[str, Any] = archives.OURS
    assert said("USER") == [told["User"]]
    assert json.loads(said("ENTRYPOINT")[0]) == told["Entrypoint"]
    assert {f"{port}/tcp" for port in said("EXPOSE")[0].split()} == told["ExposedPorts"].keys()
    variables = dict(each.split("=", 1) for each in said("ENV")[0].split())
    mine = dict(each.split("=", 1) for each in told["Env"])
    assert variables.keys() == mine.keys()
    assert {name: each for name, each in variables.items() if name != "PATH"} == {
        name: each for name, each in mine.items() if name != "PATH"
    }
    assert variables["PATH"].split(":")[0] == mine["PATH"].split(":")[0] == "/opt/trunkline/bin"
    assert "/healthz" in said("HEALTHCHECK")[0]
    assert "ca-certificates" in FINAL
