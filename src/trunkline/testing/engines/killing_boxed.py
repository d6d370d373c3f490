"""Code in containers, while shims, the engine, workers and `pachd` are killed, and memory and disk run out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.errors import TrunklineError
from trunkline.testing.killing import CODE_S, PIPELINE, Harming
from trunkline.worker.containers.engine import OURS, Engine

BOXED = ("kill a shim", "kill the engine", "kill all", "kill a worker", "leave in peace")
MEMORY = "256Mi"
CODE = (
    "f=$(ls /pfs/in)",
    # Once for each container, since a container that ends takes the mark with it.
    "if [ ! -e /seen-$f ]; then",
    "  : > /seen-$f",
    "  case $f in",
    "    *-0) x=0123456789; while :; do x=$x$x; done ;;",
    "    *-1) head -c 400000000 /dev/zero > /fill 2>/dev/null ;;",
    "  esac",
    "fi",
    "rm -f /fill",
    f"sleep {CODE_S}",
    "cp -rL /pfs/in/. /pfs/out/",
)


@dataclass
class Boxed(Harming):
    """One story of many jobs: for each a commit, and at an instant that `seed` picks one is harmed.

    The first file of each commit has its code killed by the kernel, the second one's fills the engine's disk.
    kill_engine: it starts again by itself. image: has a shell and small programs.
    """

    engine: Engine = field(default_factory=lambda: Engine(""))
    kill_engine: Callable[[], None] = lambda: None
    image: str = ""

    def prepare(self, **more: int) -> None:
        """As `Killing.prepare`."""
        self.server.pachctl("create", "repo", "in")
        spec = {
            "pipeline": {"name": PIPELINE},
            "transform": {"image": self.image, "cmd": ["sh"], "stdin": list(CODE)},
            "input": {"pfs": {"repo": "in", "glob": "/*"}},
            "resource_limits": {"memory": MEMORY},
            "datum_tries": 50,
            **more,
        }
        self.server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(spec).encode())

    def play(self, kills: int) -> None:
        """As `Killing.play`."""
        self.prepare()
        for turn in range(kills):
            harm = self.chance.choice(BOXED)
            self.done[harm] = self.done.get(harm, 0) + 1
            if harm == "kill all":
                self.put_and_kill(turn)
                continue
            self.put(turn)
            self.server.pause(self.chance.uniform(0.1, 3.0))
            if harm == "kill the engine":
                self.kill_engine()
            elif harm == "kill a shim":
                self.kill_shim()
            else:
                self.harm(harm)
        self.put(kills)
        self.check()

    def kill_shim(self) -> None:
        """SIGKILL for the first process of a container, if there is one and the engine is there."""
        with contextlib.suppress(TrunklineError), self.engine._api() as api:
            running = api.containers(filters={"label": [OURS]})
            if running:
                api.kill(self.chance.choice(running)["Id"])
