"""The process that evaluates one jsonnet template: reads {"template", "args"} from stdin, writes its answer to stdout.

The answer is {"json": text} or {"error": sentence, "line": n, "column": n}, both 0 where there is no place. Templates
are programs that may never end or fill the memory, and they can read files; so they run here, within limits, with
nothing to import.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from typing import Any

CPU_S = 5
MEMORY_BYTES = 768 << 20
NAME = "template"
_PLACE = re.compile(rf"{NAME}:\(?(\d+):(\d+)")
_HEAD = re.compile(rf"(?:RUNTIME ERROR: |{NAME}:\S+ )*")
_NO_IMPORTS = "a template cannot import anything: the server that renders it has no other files; put all into one file"
_WORDS = {
    "Missing argument:": 'it needs the argument "{0}": give --arg {0}=VALUE',
    "function has no parameter": 'it takes no argument "{0}"',
}
"""Sentences of the evaluator about arguments, and ours."""


def main() -> None:
    """Evaluate what stdin asks for."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked = json.load(sys.stdin)
    json.dump(answer(asked["template"], asked["args"]), sys.stdout)


def answer(template: str, args: dict[str, str]) -> dict[str, Any]:
    """What a template gives for some arguments, all of them strings."""
    import _gojsonnet

    def imported(_folder: str, name: str) -> tuple[str, bytes]:
        if name == NAME:
            return NAME, template.encode()
        raise RuntimeError(_NO_IMPORTS)

    def evaluated(snippet: str, **more: Any) -> str:
        text: str = _gojsonnet.evaluate_snippet(NAME, snippet, import_callback=imported, **more)
        return text

    try:
        kind = json.loads(evaluated(f"std.type(import '{NAME}')"))
        if kind != "function" and args:
            said = (
                f"it takes no arguments, found {', '.join(sorted(args))}; write function({', '.join(args)}) before it"
            )
            return {"error": said, "line": 1, "column": 1}
        return {"json": evaluated(template, tla_vars=args)}
    except RuntimeError as error:
        return refusal(str(error))


def refusal(said: str) -> dict[str, Any]:
    """What the evaluator said, as one sentence and where in the template."""
    found = _PLACE.search(said)
    line, column = (int(found[1]), int(found[2])) if found else (0, 0)
    if _NO_IMPORTS in said or "import callback" in said.lower():
        return {"error": _NO_IMPORTS, "line": line, "column": column}
    sentence = _HEAD.sub("", said.strip(), count=1).partition("\n")[0].strip()
    for begins, instead in _WORDS.items():
        if sentence.startswith(begins):
            sentence = instead.format(sentence.removeprefix(begins).strip())
    return {"error": sentence, "line": line, "column": column}


if __name__ == "__main__":
    main()
