"""Templates of pipeline specs, in jsonnet: a function whose arguments are strings and whose result is specs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from trunkline.errors import InvalidArgument, ResourceExhausted, Unimplemented
from trunkline.model.specs import merged
from trunkline.model.specs.writing import read_specs
from trunkline.pps.specs.evaluate import CPU_S, MEMORY_BYTES

MAX_BYTES = 1 << 20
_WALL_S = 60
_COMMAND = [sys.executable, "-P", "-m", "trunkline.pps.specs.evaluate"]
_AT_ONCE = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class Rendered:
    """json: what a template gives, as it is; specs: the specs in it, in canonical form, not checked as a whole."""

    json: str
    specs: tuple[dict[str, Any], ...]


def render(template: str, args: Mapping[str, str]) -> Rendered:
    """What a template gives. Evaluated in a process of its own, within limits of time and memory. Blocks.

    Raises InvalidArgument with the line for a template that is wrong or gives no specs; ResourceExhausted past a limit;
    Unimplemented where no evaluator is installed.
    """
    if find_spec("_gojsonnet") is None:
        raise Unimplemented(
            "templates need the package gojsonnet, which this server's Python does not have; install it"
        )
    if len(template.encode()) > MAX_BYTES:
        raise InvalidArgument(f"the template is larger than {MAX_BYTES >> 20} MiB")
    answer = _evaluated(json.dumps({"template": template, "args": dict(args)}))
    if "error" in answer:
        place = f"line {answer['line']}, column {answer['column']}: " if answer["line"] else ""
        raise InvalidArgument(f"the template cannot be rendered: {place}{answer['error']}")
    text: str = answer["json"]
    found = read_specs(text, what="the spec that the template gives", rules=False)
    return Rendered(text, tuple(merged(one.user) for one in found))


def _evaluated(asked: str) -> dict[str, Any]:
    with _AT_ONCE:
        try:
            done = subprocess.run(_COMMAND, input=asked.encode(), capture_output=True, timeout=_WALL_S, check=False)
        except subprocess.TimeoutExpired:
            done = None
    if done is None or done.returncode:
        raise ResourceExhausted(
            f"the template cannot be rendered within {CPU_S} s and {MEMORY_BYTES >> 20} MiB; make it do less"
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
