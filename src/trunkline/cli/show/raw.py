"""Whole objects as JSON or YAML: snake_case, one document each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from google.protobuf import json_format
from google.protobuf.message import Message


def documents(messages: Iterable[Message], form: str) -> Iterator[str]:
    """The text of each message. form: `json` (indented by two) or `yaml` (each document under a `---` line)."""
    for message in messages:
        data = json_format.MessageToDict(message, preserving_proto_field_name=True)
        yield json.dumps(data, indent=2, ensure_ascii=False) if form == "json" else f"---\n{to_yaml(data)}"


def to_yaml(data: object) -> str:
    """`data` as one YAML document, keys in their order, without a newline at the end."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text.rstrip("\n")
