"""A Kubernetes Secret object as JSON: what people send, and what is wrong with it.

No message says anything of the content.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any

from trunkline.errors import InvalidArgument

MAX_BYTES = 1 << 20
OPAQUE = "Opaque"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A secret as it was sent."""

    name: str
    type: str
    data: dict[str, bytes] = field(repr=False)


def read_manifest(file: bytes) -> Manifest:
    """Read a Secret object. Raises InvalidArgument."""
    if len(file) > MAX_BYTES:
        raise InvalidArgument(f"a secret may have {MAX_BYTES >> 10} KiB; this file has {len(file) >> 10}")
    form = _json(file)
    if form.get("kind", "Secret") != "Secret":
        raise InvalidArgument('the file is not a secret: its "kind" must be "Secret"')
    meta = form.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidArgument('the secret has no name: it belongs into "metadata": {"name": …}')
    if not _NAME.match(name):
        raise InvalidArgument(f'secret name "{name}" is invalid: use lower-case letters, digits, "-" and "."')
    kind = form.get("type") or OPAQUE
    data: dict[str, bytes] = {}
    for key, value in _strings(form, "data").items():
        try:
            data[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidArgument(
                f'secret {name}: the value of "{key}" in "data" is not base64; plain text belongs into "stringData"'
            ) from None
    data |= {key: value.encode(errors="surrogateescape") for key, value in _strings(form, "stringData").items()}
    for key in data:
        if not _KEY.match(key):
            raise InvalidArgument(f'secret {name}: key "{key}" is invalid: use letters, digits, "-", "_" and "."')
    return Manifest(name, str(kind), data)


def _json(file: bytes) -> dict[str, Any]:
    try:
        form = json.loads(file)
    except json.JSONDecodeError as error:
        raise InvalidArgument(
            f"the secret is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise InvalidArgument("the secret is not JSON") from None
    if not isinstance(form, dict):
        raise InvalidArgument("the secret is not a JSON object")
    return form


def _strings(form: dict[str, Any], name: str) -> dict[str, str]:
    found = form.get(name) or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidArgument(f'"{name}" of a secret must be an object whose values are texts')
    return found
