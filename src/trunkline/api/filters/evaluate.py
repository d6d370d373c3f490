"""The process that runs one jq program: reads lines of JSON from stdin, writes a line about each to stdout.

The first line of stdin is the program, as JSON. It is answered by "yes", or by "!" and a sentence about what is wrong;
each line after it by "yes", by "no" where the program gives nothing, null or false, or by "!" and a sentence.
Programs may never end or fill the memory, and can ask for files and the environment; so they run here, within limits,
with nothing to open and no variables.
"""

from __future__ import annotations

import json
import os
import resource
import sys

CPU_S = 10
MEMORY_BYTES = 512 << 20


def main() -> None:
    """Answer until stdin ends."""
    import jq

    os.environ.clear()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    program = None
    for line in sys.stdin:
        try:
            if program is None:
                program = jq.compile(json.loads(line))
                answer = "yes"
            else:
                first = next(iter(program.input_text(line)), None)
                answer = "no" if first is None or first is False else "yes"
        except (ValueError, RecursionError) as error:
            answer = "!" + " ".join(str(error).split())
        print(answer, flush=True)


if __name__ == "__main__":
    main()
