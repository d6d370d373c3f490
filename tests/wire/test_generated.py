"""The committed messages are what the generator writes today, and say what the tables say."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted((ROOT / "tests/wire/tables").glob("*.tsv"))
OURS = [path for path in TABLES if path.stem != "grpc.health.v1"]
SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}
KINDS = {(False, False): "unary", (False, True): "server-stream", (True, False): "client-stream", (True, True): "bidi"}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wire_protos", ROOT / "tools/wire_protos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wire_protos"] = module
    spec.loader.exec_module(module)
    return module


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def module_of(path: Path) -> Any:
    return importlib.import_module(f"trunkline.wire.gen.{path.stem.replace('.', '_')}_pb2")


def test_generating_again_changes_nothing(tmp_path: Path) -> None:
    generator().main(["--into", str(tmp_path)])
    for folder in ("proto/pachyderm", "src/trunkline/wire/gen"):
        fresh = {p.name: p.read_bytes() for p in (tmp_path / folder).iterdir() if p.is_file()}
        stored = {p.name: p.read_bytes() for p in (ROOT / folder).iterdir() if p.is_file()}
        assert sorted(fresh) == sorted(stored)
        assert [name for name in fresh if fresh[name] != stored[name]] == []
    assert len(list((tmp_path / "proto/pachyderm").iterdir())) == len(OURS)


def test_of_two_names_for_one_number_the_newer_client_wins() -> None:
    pps = importlib.import_module("trunkline.wire.gen.pps_v2_pb2")
    assert pps.PipelineInfo.DESCRIPTOR.fields_by_number[13].name == "user_spec_json"
    pfs = importlib.import_module("trunkline.wire.gen.pfs_v2_pb2")
    delete = pfs.DESCRIPTOR.services_by_name["API"].methods_by_name["DeleteRepo"]
    assert delete.output_type.full_name == "pfs_v2.DeleteRepoResponse"


def test_kept_numbers_carry_no_field() -> None:
    pfs = importlib.import_module("trunkline.wire.gen.pfs_v2_pb2")
    assert 9 not in pfs.CommitInfo.DESCRIPTOR.fields_by_number
    assert "reserved 9;" in (ROOT / "proto/pachyderm/pfs_v2.proto").read_text()


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.stem)
def test_every_row_of_a_table_is_in_the_messages(path: Path) -> None:
    file = module_of(path).DESCRIPTOR
    assert file.package == path.stem
    assert file.name.startswith("trunkline/")
    pool = descriptor_pool.Default()
    wrong = [row for row in rows(path) if not agrees(pool, row)]
    assert [r for r in wrong if "DIFFERS" not in r["note"] or r["client"] != "pp7.6"] == []


def agrees(pool: Any, row: dict[str, str]) -> bool:
    owner, name = row["full_name"], row["name"]
    match row["kind"]:
        case "message":
            return pool.FindMessageTypeByName(owner) is not None
        case "enum":
            return pool.FindEnumTypeByName(owner) is not None
        case "service":
            return pool.FindServiceByName(owner) is not None
        case "enumvalue":
            return pool.FindEnumTypeByName(owner).values_by_name[name].number == int(row["number"])
        case "method":
            method = pool.FindServiceByName(owner).methods_by_name[name]
            shape = f"{method.input_type.full_name} -> {method.output_type.full_name}"
            return (shape, KINDS[method.client_streaming, method.server_streaming]) == (row["type"], row["label"])
        case "oneof":
            members = pool.FindMessageTypeByName(owner).oneofs_by_name[name].fields
            return ",".join(f"{f.name}={f.number}" for f in members) == row["type"]
        case "field":
            found = pool.FindMessageTypeByName(owner).fields_by_number.get(int(row["number"]))
            return found is not None and (found.name, label(found), type_name(found)) == (
                name,
                row["label"],
                row["type"],
            )
    raise AssertionError(row)


def is_map(found: FieldDescriptor) -> bool:
    return found.message_type is not None and found.message_type.GetOptions().map_entry


def label(found: FieldDescriptor) -> str:
    if is_map(found):
        return "map"
    if found.is_repeated:
        return "repeated"
    group = found.containing_oneof
    if group is None:
        return "single"
    synthetic = len(group.fields) == 1 and group.name == "_" + found.name
    return "optional" if synthetic else f"oneof:{group.name}"


def type_name(found: FieldDescriptor) -> str:
    if is_map(found):
        parts = found.message_type.fields_by_name
        return f"map<{type_name(parts['key'])}, {type_name(parts['value'])}>"
    if found.message_type is not None:
        return str(found.message_type.full_name)
    return str(found.enum_type.full_name) if found.enum_type is not None else SCALARS[found.type]


def test_nothing_is_in_the_messages_that_no_table_names() -> None:
    named = {(r["full_name"], r["number"] or r["name"]) for p in OURS for r in rows(p)}
    extra = []
    for path in OURS:
        file = module_of(path).DESCRIPTOR
        for message in walk(file.message_types_by_name.values()):
            extra += [(message.full_name, str(f.number)) for f in message.fields]
        for service in file.services_by_name.values():
            extra += [(service.full_name, method.name) for method in service.methods]
    assert len(extra) > 1300
    assert [item for item in extra if item not in named] == []


def walk(messages: Any) -> Any:
    for message in messages:
        if not message.GetOptions().map_entry:
            yield message
            yield from walk(message.nested_types)
