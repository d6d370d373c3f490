"""Pipelines that copy what they read, over a repo that a load test writes: what comes out is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.names import Branch, Repo
from trunkline.pfs.files import Files
from trunkline.pfs.loading import LoadSpec, check, fields_of, run_load
from trunkline.pfs.loading.running import Known, fresh_repo
from trunkline.pps.images.resolving import Rules
from trunkline.pps.specs import requests
from trunkline.pps.specs.requests import Request

INPUT = "input"
MOST = 100
"""Pipelines."""


@dataclass(frozen=True, slots=True)
class Dag:
    """Pipelines in order, each with what it reads: earlier ones, or `input`; and how datums are made."""

    pipelines: tuple[tuple[str, tuple[str, ...], str], ...]


USUAL = Dag((("first", (INPUT,), "/*"), ("second", (INPUT, "first"), "/*")))


def read_dag(text: str) -> Dag:
    """From YAML or JSON: `pipelines`, a list of `name`, `inputs` and `glob`; the usual one of "".

    Raises InvalidArgument.
    """
    if not text.strip():
        return USUAL
    given = fields_of(text, ["pipelines"], "the dag of a load test").get("pipelines")
    if not isinstance(given, list) or not 0 < len(given) <= MOST:
        raise InvalidArgument(f"pipelines is a list of up to {MOST}, each with name, inputs and glob")
    found: dict[str, tuple[str, tuple[str, ...], str]] = {}
    for one in given:
        fields = fields_of(json.dumps(one), ["name", "inputs", "glob"], "a pipeline of the dag")
        name, inputs, glob = fields.get("name"), fields.get("inputs", [INPUT]), fields.get("glob", "/*")
        if not isinstance(name, str) or name in found or name == INPUT:
            raise InvalidArgument(
                f"each pipeline of the dag has a name of its own, and none is called {INPUT}; {name!r}"
            )
        if not isinstance(inputs, list) or not inputs or len(set(map(str, inputs))) < len(inputs):
            raise InvalidArgument(f"inputs of {name} is a list of different names")
        for source in inputs:
            if source not in (INPUT, *found):
                raise InvalidArgument(f'{name} reads "{source}", which is neither {INPUT} nor an earlier pipeline')
        found[name] = (name, tuple(inputs), str(glob))
    return Dag(tuple(found.values()))


def run_dag(
    files: Files,
    rules: Rules,
    dag: Dag,
    load: LoadSpec,
    *,
    seed: int,
    parallelism: int,
    pod_patch: str,
    wanted: Callable[[], bool],
) -> tuple[str, str]:
    """The first thing that is wrong ("": nothing), and the id of the last commit set.

    What was made stays, so that it can be looked at. Raises what creating a repo or a pipeline does, and Aborted.
    """
    repo = fresh_repo(files, "load-test")
    for spec in _specs(dag, repo, parallelism, pod_patch):
        files.change(partial(requests.create, request=Request(json.dumps(spec)), rules=rules))
    loaded = run_load(files, load, Branch(repo, "master"), seed, "", wanted)
    if loaded.error:
        return loaded.error, loaded.commit
    held: dict[str, Known] = {INPUT: loaded.known}
    for name, inputs, _ in dag.pipelines:
        held[name] = {f"/{source}{path}": entry for source in inputs for path, entry in held[source].items()}
        error = check(files, Repo(repo.project, f"{repo.name}-{name}"), loaded.commit, held[name], wanted)
        if error:
            return error, loaded.commit
    return "", loaded.commit


def _specs(dag: Dag, repo: Repo, parallelism: int, pod_patch: str) -> list[Mapping[str, Any]]:
    made: list[Mapping[str, Any]] = []
    for name, inputs, glob in dag.pipelines:
        sources = [
            {"pfs": {"name": one, "repo": repo.name if one == INPUT else f"{repo.name}-{one}", "glob": glob}}
            for one in inputs
        ]
        spec: dict[str, Any] = {
            "pipeline": {"name": f"{repo.name}-{name}"},
            "description": "of a load test: a copy of what it reads",
            "transform": {
                "cmd": ["sh", "-eu"],
                "stdin": [f"[ ! -e /pfs/{one} ] || cp -rL /pfs/{one} /pfs/out/{one}" for one in inputs],
            },
            "input": {"union": sources},
        }
        if parallelism > 0:
            spec["parallelismSpec"] = {"constant": parallelism}
        if pod_patch:
            spec["podPatch"] = pod_patch
        made.append(spec)
    return made
