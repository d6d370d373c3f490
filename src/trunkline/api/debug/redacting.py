"""Specs and texts without what must stay secret, for eyes that were not meant to see it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

HIDDEN = "***"
_LOGIN = re.compile(r"(://)[^/\s@\"']+@")
_PARAMETERS = re.compile(r"(://[^\s?\"']+)\?[^\s\"']+")
_VALUES = frozenset({"env", "metadata", "annotations"})
"""What stands under these is whatever somebody wrote."""
_SPECS = frozenset({"userSpecJson", "effectiveSpecJson"})


def text(given: str) -> str:
    """A text whose URLs show neither who logs in nor any parameter."""
    return _PARAMETERS.sub(rf"\1?{HIDDEN}", _LOGIN.sub(rf"\1{HIDDEN}@", given))


def redacted(value: object, key: str = "") -> object:
    """JSON with the names, and without the values, of environments; its URLs as `text` shows them."""
    if isinstance(value, Mapping):
        if key in _VALUES:
            return dict.fromkeys(value, HIDDEN)
        return {name: redacted(one, str(name)) for name, one in value.items()}
    if isinstance(value, list):
        return [redacted(one, key) for one in value]
    if not isinstance(value, str):
        return value
    if key in _SPECS:
        try:
            return redacted(json.loads(value))
        except ValueError:
            return HIDDEN  # YAML, perhaps: nobody knows where the values stand
    return text(value)
