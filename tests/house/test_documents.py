"""The documents say what is: rooms, floors, invariants, commands, links."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "src" / "trunkline"
INVARIANTS = 15
DECISION_LINES = 60

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "bench/*.md", "changes.d/*.md")
    for path in ROOT.glob(pattern)
    if ".venv" not in path.parts
)
WITH_COMMANDS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("examples/*/README.md"))]


def text(name: str) -> str:
    """A document of the root."""
    return (ROOT / name).read_text()


def rooms() -> set[str]:
    """The packages that stand in the house."""
    return {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_every_room_is_on_the_map() -> None:
    assert rooms() == set(re.findall(r"^\| `(\w+)/` \|", text("ARCHITECTURE.md"), re.M))


def test_the_floors_are_those_that_the_linter_holds() -> None:
    contract = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    held = [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]
    drawn = re.findall(r"^floor +\d+  +(.+?)(?:   .*)?$", text("ARCHITECTURE.md"), re.M)
    standing = rooms() | {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    # `testing` stands beside the floors: it may use every room and no room may use it.
    expected = [layer & standing for layer in held[1:] if layer & standing]
    assert [set(re.findall(r"\w+", line)) for line in drawn] == expected


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "INVARIANTS.md", "GLOSSARY.md", "CONTRIBUTING.md"])
def test_every_module_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py))`", text(page))
    assert not [name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()]


def test_every_step_of_the_walks_names_code() -> None:
    steps = re.findall(r"^\| \d+ \| (.+?) \|", text("ARCHITECTURE.md"), re.M)
    assert len(steps) > 15
    for step in steps:
        for name in re.findall(r"`([\w.]+)`", step):
            place = PACKAGE.joinpath(*name.split("."))
            assert place.with_suffix(".py").exists() or place.is_dir(), f"{name} is no module"


@cache
def known_tests() -> set[str]:
    """Every test function, and every test class, of the project."""
    found: set[str] = set()
    for folder in (ROOT / "tests", PACKAGE / "testing"):
        for path in folder.rglob("*.py"):
            found |= set(
                re.findall(r"^(?: *def|class) (test\w+|Test\w+|\w+Machine|\w+Contract)", path.read_text(), re.M)
            )
    return found


def test_every_invariant_has_a_test_that_exists() -> None:
    rows = re.findall(r"^\| (I-\d+) \| (.+?) \| (.+?) \| (.+?) \|$", text("INVARIANTS.md"), re.M)
    assert [row[0] for row in rows] == [f"I-{number}" for number in range(1, INVARIANTS + 1)]
    for number, promise, check, tests in rows:
        assert promise.strip(), number
        assert check.strip(), number
        names = re.findall(r"`(\w+)`", tests)
        assert names, f"{number} has no test"
        assert set(names) <= known_tests(), f"{number}: {set(names) - known_tests()} does not exist"


def test_every_difference_has_a_test_that_exists() -> None:
    rows = [line.split("|")[1:-1] for line in text("docs/differences.md").splitlines() if line.startswith("| ")][1:]
    assert rows
    for topic, _, test in rows:
        assert set(re.findall(r"`(\w+)`", test)) & known_tests(), topic


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert not [each for each in targets if "://" not in each and not (page.parent / each).exists()]


def test_every_page_is_found_from_the_first_one() -> None:
    """The root's README leads to each page of docs/ and to each example, the index of a folder to what lies in it."""
    linked = {(ROOT / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", text("README.md"))}
    wanted = {*ROOT.glob("docs/*.md"), *ROOT.glob("docs/*/README.md"), *ROOT.glob("examples/*/README.md")}
    assert not wanted - linked
    for index in ROOT.glob("docs/*/README.md"):
        beside = {page.name for page in index.parent.glob("*.md")} - {index.name}
        assert not [name for name in beside if name not in index.read_text()]


def commands(program: str, page: Path) -> list[list[str]]:
    """The words of every line of a page's console blocks (or of a script) that runs `program`."""
    body = page.read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", body, re.M | re.S) if page.suffix == ".md" else [body]
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(program + " ")]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_make_targets_in_documents_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.M))
    inline = re.findall(r"`make ([a-z-]+)", page.read_text())
    assert {words[1] for words in commands("make", page)} | set(inline) <= targets


def parse(words: list[str]) -> None:
    """Have click parse a command line without running it. Raises click.UsageError if it makes no sense."""
    from trunkline.cli.entry import root

    command: click.Command = root()
    context = click.Context(command)
    rest = words
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, rest)


SCRIPTS = sorted(ROOT.glob("examples/*/run.sh"))
TYPED = [page for page in WITH_COMMANDS + SCRIPTS if page.name != "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", TYPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_pachctl_commands_in_documents_are_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(page.parent)  # where a reader types them
    found = commands("pachctl", page)
    assert found
    for words in found:
        try:
            parse(words[1:])
        except click.UsageError as problem:
            pytest.fail(f"{shlex.join(words)}: {problem.format_message()}")


def test_changes_are_named_for_what_they_are() -> None:
    names = [path.name for path in (ROOT / "changes.d").iterdir() if path.name != "README.md"]
    assert not [name for name in names if not re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed)\.md", name)]


def test_decisions_are_numbered_and_short() -> None:
    pages = sorted(path for path in (ROOT / "docs/decisions").iterdir() if path.name != "README.md")
    assert [int(path.name[:4]) for path in pages] == list(range(1, len(pages) + 1))
    assert not [path.name for path in pages if path.read_text().count("\n") > DECISION_LINES]
