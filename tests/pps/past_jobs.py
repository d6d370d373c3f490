"""A pipeline with a past, finished jobs by the thousand, put into the rows directly; and what a deed costs then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pps_world import copy, glob
from simulated_world import Quick

NOT_IDLE = "repo NOT IN (SELECT id FROM repos WHERE name = 'idle' OR type = 'spec')"
OUTPUTS = ("output_commit", "meta_commit")
OF_COMMITS = ("commit diff", "manifest")


@dataclass(frozen=True)
class Cost:
    """What the catalog did: statements, and steps of SQLite's own machine, which grow with the rows that it touches."""

    statements: int
    steps: int


def with_past(folder: Path, jobs: int, *, failed: bool = False) -> Quick:
    """A pipeline that copies files, with so many more jobs that had nothing to do or, if `failed`, failed.

    Another pipeline, `idle`, stands below it and had no part in those: its only jobs are older than all of them.
    """
    world = Quick(folder)
    world.repo()
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pipeline("idle", copy, glob("/*", "edges"))
    world.pump()
    last = world.put({"/c": b"3"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+2/3"
    world.rows("PRAGMA foreign_keys = OFF")
    world.rows("BEGIN")
    for number in range(jobs):
        last = add_job(world, last, f"{number:032x}", failed=failed)
    world.rows("COMMIT")
    world.rows("PRAGMA foreign_keys = ON")
    world.die()
    return world


def add_job(world: Quick, old: str, id: str, *, failed: bool) -> str:
    """One more job of `edges` with its commits, on top of those of another one, which it is like."""
    seqs = dict(world.rows(f"SELECT seq, seq FROM commits WHERE id = '{old}' AND {NOT_IDLE}"))
    for seq in list(seqs):
        ((new,),) = world.rows("SELECT max(seq) + 1 FROM commits")
        clone(world, "commits", f"seq = {seq}", {"seq": new, "id": f"'{id}'", "parent": seq, "base": seq})
        clone(world, "commit_runs", f"commit_seq = {seq}", {"commit_seq": new})
        clone(world, "holders", f"kind IN {OF_COMMITS} AND key = '{seq}'", {"key": f"'{new}'"})
        world.rows(f"UPDATE branches SET head = {new} WHERE head = {seq} AND {NOT_IDLE}")
        seqs[seq] = new
    for seq, new in seqs.items():
        for (above,) in world.rows(f"SELECT upstream FROM commit_provenance WHERE commit_seq = {seq}"):
            world.rows(f"INSERT INTO commit_provenance VALUES ({new}, {seqs.get(above, above)})")
    ((job, output, meta, good, look_from),) = world.rows(
        "SELECT j.seq, output_commit, meta_commit, j.state = 'SUCCESS', look_from FROM jobs j "
        f"JOIN pipelines p ON p.key = j.pipeline WHERE id = '{old}' AND name = 'edges'"
    )
    ((new_job,),) = world.rows("SELECT max(seq) + 1 FROM jobs")
    put = {"seq": new_job, "id": f"'{id}'", "base": job, "output_commit": seqs[output], "meta_commit": seqs[meta]}
    put["look_from"] = output if good else look_from
    clone(world, "jobs", f"seq = {job}", put)
    clone(world, "holders", f"kind = 'datum table' AND key = '{job}'", {"key": f"'{new_job}'"})
    if failed:
        world.rows(f"UPDATE jobs SET state = 'FAILURE', reason = 'bad', error = 'bad' WHERE seq = {new_job}")
        world.rows(f"UPDATE commits SET error = 'bad' WHERE seq IN ({seqs[output]}, {seqs[meta]})")
    return id


def clone(world: Quick, table: str, where: str, put: dict[str, object]) -> None:
    """Rows once more, with some columns changed."""
    names = [row[1] for row in world.rows(f"PRAGMA table_info({table})")]
    values = ", ".join(str(put.get(name, name)) for name in names)
    world.rows(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {where}")


def cost(world: Quick, deed: Callable[[], object]) -> Cost:
    """What a deed costs the catalog."""
    assert world.kept is not None
    return Cost(*world.kept.counted(deed))
