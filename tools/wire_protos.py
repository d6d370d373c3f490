"""Write the public `.proto` files from the wire tables, and the Python messages from all `.proto` files.

    python tools/wire_protos.py                 everything, in place (what `make proto` runs)
    python tools/wire_protos.py --into DIR      the same tree below DIR, for comparison

The tables in `tests/wire/tables/` hold facts (names, numbers, labels, types) about the messages that the public
clients exchange. Our own calls, in `proto/trunkline/`, are written by hand; edit those and run this again.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = Path("tests/wire/tables")
PUBLIC = Path("proto/pachyderm")
OWN = (Path("proto/trunkline/v1"), Path("proto/trunkline/worker/v1"))
PACKAGE = "trunkline/wire/gen"
"""Where the messages live in Python, and so the folder that `.proto` files import each other from."""

LEFT_OUT = {"grpc.health.v1"}
"""Packages whose messages a library brings (grpcio-health-checking)."""

WELL_KNOWN = {
    "google.protobuf.Any": "google/protobuf/any.proto",
    "google.protobuf.BytesValue": "google/protobuf/wrappers.proto",
    "google.protobuf.Duration": "google/protobuf/duration.proto",
    "google.protobuf.Empty": "google/protobuf/empty.proto",
    "google.protobuf.Int64Value": "google/protobuf/wrappers.proto",
    "google.protobuf.Struct": "google/protobuf/struct.proto",
    "google.protobuf.Timestamp": "google/protobuf/timestamp.proto",
}
NAMED_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; the columns are described in the tables' README."""

    kind: str
    full_name: str
    name: str
    number: str
    label: str
    type: str
    client: str
    note: str


@dataclass(slots=True)
class Node:
    """A message, enum or service while it is put together; `children` are nested messages and enums."""

    kind: str
    name: str
    rows: list[Row] = field(default_factory=list)
    reserved: list[int] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)


def read_table(path: Path) -> list[Row]:
    """The rows that we build: where the two clients disagree on a name or a type, the newer client's row."""
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [Row(*line) for line in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)][1:]
    newer = {_slot(row) for row in rows if row.client != "pp7.6"}
    return [row for row in rows if row.client != "pp7.6" or _slot(row) not in newer]


def _slot(row: Row) -> tuple[str, ...]:
    """What may exist once: a number of a message, otherwise a name of its owner."""
    return (row.kind, row.full_name, row.number if row.kind == "field" else row.name)


def file_of(package: str) -> str:
    """The name by which other `.proto` files import a package of the tables."""
    return f"{PACKAGE}/{package.replace('.', '_')}.proto"


def tree(package: str, rows: Iterable[Row]) -> Node:
    """The rows of one package as nested definitions, in the order of their first appearance."""
    root = Node("package", package)
    for row in rows:
        node = root
        for part in row.full_name.removeprefix(package + ".").split("."):
            node = node.children.setdefault(part, Node("message", part))
        if row.kind in ("message", "enum", "service"):
            node.kind = row.kind
            node.reserved = [int(n) for n in re.findall(r"\d+", "".join(re.findall(r"reserved ([\d,]+)", row.note)))]
        elif row.kind != "oneof":
            node.rows.append(row)
    return root


def render(package: str, rows: list[Row], packages: Iterable[str]) -> str:
    """The text of one `.proto` file."""
    root = tree(package, rows)
    lines = [
        f"// Written by tools/wire_protos.py from tests/wire/tables/{package}.tsv; change the table, not this file.",
        "",
        'syntax = "proto3";',
        "",
        f"package {package};",
        "",
    ]
    imports = sorted(_imports(package, rows, packages))
    lines += [f'import "{name}";' for name in imports] + ([""] if imports else [])
    for node in root.children.values():
        lines += [*_definition(node, ""), ""]
    return "\n".join(lines)


def _imports(package: str, rows: Iterable[Row], packages: Iterable[str]) -> set[str]:
    used = {name for row in rows if row.kind in ("field", "method") for name in NAMED_TYPE.findall(row.type)}
    found = set()
    for name in used:
        if name in WELL_KNOWN:
            found.add(WELL_KNOWN[name])
        else:
            owner = max((p for p in packages if name.startswith(p + ".")), key=len)
            if owner != package:
                found.add(file_of(owner))
    return found


def _definition(node: Node, indent: str) -> Iterator[str]:
    yield f"{indent}{node.kind} {node.name} {{"
    inner = indent + "  "
    if node.kind == "enum":
        yield from (f"{inner}{row.name} = {row.number};" for row in node.rows)
    elif node.kind == "service":
        yield from (_method(row, inner) for row in node.rows)
    else:
        for child in node.children.values():
            yield from _definition(child, inner)
        kept = sorted(set(node.reserved) - {int(row.number) for row in node.rows})
        if kept:
            yield f"{inner}reserved {', '.join(map(str, kept))};"
        yield from _fields(node.rows, inner)
    yield f"{indent}}}"


def _fields(rows: list[Row], indent: str) -> Iterator[str]:
    """Fields in table order; the members of a oneof stand together where the first of them is."""
    written: set[str] = set()
    for row in rows:
        kind, _, group = row.label.partition(":")
        if kind != "oneof":
            label = {"repeated": "repeated ", "optional": "optional "}.get(kind, "")
            yield f"{indent}{label}{_field(row)}"
        elif group not in written:
            written.add(group)
            yield f"{indent}oneof {group} {{"
            yield from (f"{indent}  {_field(member)}" for member in rows if member.label == row.label)
            yield f"{indent}}}"


def _field(row: Row) -> str:
    option = " [deprecated = true]" if row.note == "deprecated" else ""
    return f"{_absolute(row.type)} {row.name} = {row.number}{option};"


def _method(row: Row, indent: str) -> str:
    request, response = (_absolute(part.strip()) for part in row.type.split("->"))
    sends = "stream " if row.label in ("client-stream", "bidi") else ""
    answers = "stream " if row.label in ("server-stream", "bidi") else ""
    return f"{indent}rpc {row.name}({sends}{request}) returns ({answers}{response});"


def _absolute(text: str) -> str:
    """A leading dot on every named type: a field called like a package would shadow it otherwise."""
    return NAMED_TYPE.sub(lambda match: "." + match.group(), text)


def write_protos(root: Path, into: Path) -> None:
    """Write every public `.proto` below `into`."""
    tables = {path.stem: read_table(path) for path in sorted((root / TABLES).glob("*.tsv"))}
    folder = into / PUBLIC
    folder.mkdir(parents=True, exist_ok=True)
    for package, rows in tables.items():
        if package not in LEFT_OUT:
            text = render(package, rows, tables)
            (folder / Path(file_of(package)).name).write_text(text, encoding="utf-8")


def write_python(root: Path, into: Path) -> None:
    """Write messages, stubs and call stubs for every `.proto`: public ones from `into`, our own from `root`."""
    import grpc_tools
    from grpc_tools import protoc

    folders = [into / PUBLIC, *(root / own for own in OWN)]
    names = sorted(path.name for folder in folders for path in folder.glob("*.proto"))
    out = into / "src"
    gen = out / PACKAGE
    gen.mkdir(parents=True, exist_ok=True)
    for old in gen.iterdir():
        if old.suffix in (".py", ".pyi"):
            old.unlink()
    # "virtual=disk": files import each other as trunkline/wire/gen/x.proto, so that the Python written from
    # them imports absolutely, while on disk they lie by who defines them.
    paths = [f"-I{PACKAGE}={folder}" for folder in folders]
    outputs = [f"--{plugin}_out={out}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")]
    beside = Path(sys.executable).parent  # the plugins of this environment, whatever PATH says
    outputs += [f"--plugin={name}={beside / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    library = f"-I{Path(grpc_tools.__file__).parent / '_proto'}"
    code = protoc.main(["protoc", *paths, library, *outputs, *(f"{PACKAGE}/{name}" for name in names)])
    if code:
        raise SystemExit(code)
    doc = '"""Messages and call stubs generated by tools/wire_protos.py; never edited by hand."""\n'
    (gen / "__init__.py").write_text(doc, encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """The command line described above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT, help="where to write (default: this working tree)")
    into = parser.parse_args(arguments).into
    write_protos(ROOT, into)
    write_python(ROOT, into)


if __name__ == "__main__":
    main()
