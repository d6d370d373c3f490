"""The house rules that a machine can hold: sizes, names, docstrings, nothing of one machine in what is committed."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "trunkline"
GENERATED = PACKAGE / "wire" / "gen"

FUNCTION_LINES = 60
MODULE_LINES = 400
FOLDER_MODULES = 12
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}

# What ties a file to one machine or one registry. Written so that this file does not match itself.
MACHINE = re.compile(
    r"/wor[k]/|/far[m]/|/tmp/pla[n]|/roo[t]/|/home/[a-z]|/opt/pyp[i]|/opt/wheel[s]"
    r"|[p]ypi\.org|[p]ythonhosted\.org|registry\.[n]pmjs|[d]eb\.debian\.org|archive\.[u]buntu\.com"
    r"|-index-url[ =]+http|artifactor[y]|[n]exus\."
)


@cache
def tracked() -> list[Path]:
    """Files that git tracks or would track: what a clone will hold."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return sorted({ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()})


@cache
def modules() -> list[Path]:
    """Every Python file that people wrote."""
    return [path for path in tracked() if path.suffix == ".py" and GENERATED not in path.parents]


@cache
def package_trees() -> dict[Path, ast.Module]:
    """Syntax trees of the package's own modules."""
    return {path: ast.parse(path.read_text()) for path in modules() if PACKAGE in path.parents}


def place(path: Path, line: int = 0) -> str:
    """Where a reader finds it: `src/trunkline/x.py:12`."""
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function in it, nested ones too."""
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def test_a_function_fits_on_a_screen() -> None:
    long = [
        f"{place(path, node.lineno)} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in modules()
        for node in functions(ast.parse(path.read_text()))
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert not long, f"longer than {FUNCTION_LINES} lines:\n" + "\n".join(long)


def test_a_module_stays_small() -> None:
    counts = {path: path.read_text().count("\n") for path in modules()}
    long = [f"{place(path)}: {count} lines" for path, count in counts.items() if count > MODULE_LINES]
    assert not long, f"longer than {MODULE_LINES} lines:\n" + "\n".join(long)


def test_a_folder_holds_a_dozen_modules_at_most() -> None:
    counts = Counter(path.parent for path in package_trees() if path.name != "__init__.py")
    full = [f"{place(folder)}: {count} modules" for folder, count in counts.items() if count > FOLDER_MODULES]
    assert not full, f"more than {FOLDER_MODULES} modules:\n" + "\n".join(full)


def test_no_module_is_a_drawer() -> None:
    names = {path: {path.stem, *path.relative_to(PACKAGE).parts[:-1]} for path in package_trees()}
    assert not [place(path) for path, parts in names.items() if parts & DRAWERS]


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a picture
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{place(path, number)} {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    ["cd /wor" + "k/main", "--extra-index-url=ht" + "tp://x", "https://pyp" + "i.org/simple", "see /roo" + "t/.cache"],
)
def test_the_search_for_machines_finds_them(line: str) -> None:
    assert re.search(MACHINE, line)


def port_methods() -> set[str]:
    """Methods described in a Protocol: whoever implements the port need not say it again."""
    names: set[str] = set()
    for tree in package_trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(each) for each in node.bases):
                names |= {each.name for each in functions(node) if ast.get_docstring(each)}
    return names


def undocumented(path: Path, tree: ast.Module, ports: set[str]) -> list[str]:
    """Public things in a module that no docstring explains.

    A method of a class with bases may override one that is explained there, so only classes of no base, or of
    Protocol, have to explain each method.
    """
    found = [] if ast.get_docstring(tree) else [place(path)]
    for node in tree.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            found.append(f"{place(path, node.lineno)} {node.name}")
        if isinstance(node, ast.ClassDef) and all("Protocol" in ast.unparse(each) for each in node.bases):
            found += [
                f"{place(path, each.lineno)} {node.name}.{each.name}"
                for each in node.body
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
                and not each.name.startswith(("_", "test_"))  # a test's name is its sentence
                and each.name not in ports
                and not any(ast.unparse(mark) == "property" for mark in each.decorator_list)  # told with the class
                and not ast.get_docstring(each)
            ]
    return found


def test_what_is_public_is_explained() -> None:
    ports = port_methods()
    found = [line for path, tree in package_trees().items() for line in undocumented(path, tree, ports)]
    assert not found, "no docstring:\n" + "\n".join(found)


def test_annotations_are_never_evaluated() -> None:
    late = "from __future__ import annotations"
    typed = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.AnnAssign)
    assert not [
        place(path)
        for path, tree in package_trees().items()
        if any(isinstance(node, typed) for node in tree.body) and late not in path.read_text()
    ]


def test_test_modules_have_names_of_their_own() -> None:
    """pytest imports them by their bare names: two of one name, and a whole run does not even begin."""
    counts = Counter(path.name for path in modules() if ROOT / "tests" in path.parents and path.name != "conftest.py")
    assert not [name for name, count in counts.items() if count > 1]
