"""Whole sentences: a real pachd, typed to as a new user would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from trunkline.cli.table import COMMANDS, UNLISTED, Tree
from trunkline.model.specs.reference.fields import MESSAGES
from trunkline.testing.serving import PachdProcess

COUNT = """\
import os
for name in os.listdir("/pfs/words"):
    text = open(f"/pfs/words/{name}").read()
    print("counting", name)
    open(f"/pfs/out/{name}", "w").write(str(len(text.split())))
"""
SPECS = """\
pipeline: {name: count}
description: counts words
transform: {image: "count:1", cmd: [python3, /count.py]}
input: {pfs: {repo: words, glob: "/*"}}
# With two workers, one that is held up has its second datum run by the other as well, and both say so.
parallelismSpec: {constant: 1}
---
pipeline: {name: sum}
transform: {cmd: [sh], stdin: ["cat /pfs/count/* > /pfs/out/all"]}
input: {pfs: {repo: count, glob: /}}
"""


@pytest.fixture(scope="module")
def pachd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PachdProcess]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ["--workers", "2"]) as running:
        yield running


class Typed:
    """A shell with nothing but pachctl in it. Each test works in a project of its own."""

    def __init__(self, pachctl: Any, project: str, folder: Path) -> None:
        self.pachctl = pachctl
        self.project = project
        self.folder = folder

    def done(self, line: str, stdin: bytes = b"") -> Any:
        return self.pachctl(*line.split(), "--project", self.project, stdin=stdin)

    def __call__(self, line: str, stdin: bytes = b"") -> str:
        done = self.done(line, stdin)
        assert done.status == 0, f"{line}: {done.err}"
        text: str = done.out
        return text

    def fails(self, line: str, stdin: bytes = b"") -> str:
        done = self.done(line, stdin)
        assert done.status == 1, f"{line} went well: {done.out}"
        text: str = done.err
        return text

    def raw(self, line: str) -> list[dict[str, Any]]:
        text, found, decoder = self(f"{line} --raw").lstrip(), [], json.JSONDecoder()
        while text:
            one, end = decoder.raw_decode(text)
            found.append(one)
            text = text[end:].lstrip()
        return found


@pytest.fixture
def config(pachd: PachdProcess) -> Path:
    """The client settings of the real server, instead of the scripted one's."""
    return Path(pachd.client_env["PACH_CONFIG"])


@pytest.fixture
def typed(pachctl: Any, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    project = request.node.name.replace("test_", "")[:40].strip("_")
    assert pachctl("create", "project", project).status == 0
    return Typed(pachctl, project, tmp_path)


def test_the_installed_program_does_it_too(pachd):
    assert pachd.pachctl("list", "project").startswith("ACTIVE PROJECT ")
    assert pachd.pachctl("version").count("\n") == 3


def test_files_go_round(typed):
    files = {"a.txt": b"one\n", "deep/er/b": b"", "deep/c": bytes(range(256)) * 20_000, "ü ö": b"x"}
    for name, data in files.items():
        (typed.folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (typed.folder / "tree" / name).write_bytes(data)
    typed("create repo r")
    typed("put file r@master:/ -r -f tree")
    typed("get file r@master:/ -r -o back")
    assert {n: (typed.folder / "back" / n).read_bytes() for n in files} == files
    assert typed("list file r@master") == "SIZE     NAME\n4B       /a.txt\n4.883MiB /deep/\n1B       /ü ö\n"
    assert typed("get file r@master:/a.txt") == "one\n"
    typed("get file r@master:/deep/c -o c --offset 5")
    assert (typed.folder / "c").read_bytes() == files["deep/c"][5:]
    typed("put file r@master:/a.txt -a", b"two\n")
    assert typed("get file r@master:/a.txt") == "one\ntwo\n"
    assert "+two" in typed("diff file r@master:/a.txt")
    assert "add -r" in typed.fails("delete file r@master:/deep")
    typed("delete file r@master:/deep -r")
    assert "not found" in typed.fails("get file r@master:/deep/c -o d")
    assert typed("glob file r@master^:/**/b") == "SIZE NAME\n0B   /deep/er/b\n"
    typed("copy file r@master^:/deep/er r@master:/er")
    assert "/er/b" in typed("list file r@master:/er")
    assert len(typed.raw("list commit r@master")) == 4


def test_a_file_is_purged_from_history_and_from_what_was_made_of_it(typed):
    typed("create repo r")
    for name in ("a", "b"):
        typed(f"put file r@master:/{name}", name.encode() * 9)
    spec = {"pipeline": {"name": "copy"}, "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/r/* /pfs/out/"]}}
    typed("create pipeline", json.dumps({**spec, "input": {"pfs": {"repo": "r", "glob": "/*"}}}).encode())
    typed("wait commit copy@master")
    dry = typed("purge file r:/a --dry-run")
    assert "What would go: 2 files (9B), from 3 commits, and the results of 1 datum:" in dry
    assert f"{typed.project}/copy@" in dry
    logs = "what the code of 1 datum printed stays until its pipeline is deleted"
    assert f"Logs would stay: {logs}" in dry
    assert typed("get file copy@master:/a") == "a" * 9
    asked = typed.done("purge file r:/a", b"n\n")
    assert (asked.status, asked.out.splitlines()[-1]) == (130, "This cannot be undone. Purge it? [y/N]: ")
    assert typed("get file copy@master:/a") == "a" * 9
    done = typed.done("purge file r:/a --yes --reason mine")
    assert done.status == 0, done.err
    assert f"Purged: 2 files from 3 commits. No byte of it is in a file any more.\nBut logs: {logs}." in done.err
    id = done.out.strip()
    assert typed("list file r@master") + typed("list file copy@master") == "SIZE NAME\n9B   /b\n" * 2
    assert f"Purged: {typed.project}/r:/a, " in typed("inspect commit r@master")
    assert [one["id"] for one in typed.raw("list purge r")] == [id]
    assert typed.raw(f"list purge r --reverse --after {id}") == []
    shown = typed.pachctl("inspect", "purge", id, "--commits").out
    for line in ("Stage: gone", "Files: 2 (9B)", "Reason: mine", "Commits: 3", f"Logs: {logs}"):
        assert line in shown
    assert f"Commit: {typed.project}/copy@" in shown
    assert "nothing to purge" in typed.fails("purge file r:/a --yes")
    assert "without @master" in typed.fails("purge file r@master:/b")
    assert "names no path" in typed.fails("purge file r")
    assert "purge the input that they come from" in typed.fails("purge file copy:/b")
    assert "not found" in typed.pachctl("inspect", "purge", "f" * 32).err
    assert "every commit is written anew already; it is gone" in typed.pachctl("stop", "purge", id).err
    assert "is not the id of a purge" in typed.pachctl("inspect", "purge", "x").err
    assert typed.pachctl("fsck").out == "No errors found.\n"


def test_commits_and_branches(typed):
    typed("create repo r -d first")
    id = typed("start commit r@master -m why").strip()
    typed("put file r@master:/x", b"1")
    assert typed("list commit r").splitlines()[1].split()[2:4] == [id, "-"]
    typed("finish commit r@master")
    assert f"Commit: r@{id}\nOriginal Branch: master\nDescription: why\n" in typed(f"wait commit r@{id}")
    typed("create branch r@dev --head master")
    assert typed("get file r@dev:/x") == "1"
    assert [one["branch"]["name"] for one in typed.raw("list branch r")] in (["dev", "master"], ["master", "dev"])
    typed("create repo made")
    listed = ("list", "commit", "made", "--project", typed.project)
    assert typed.pachctl(*listed).err == ""
    typed("create branch made@master -p r@master")
    assert "--all shows the system's own" in typed.pachctl(*listed).err
    assert typed.pachctl(*listed, "--all").err == ""
    typed("delete repo made")
    assert "finished" in typed.fails(f"put file r@{id}:/x", b"2")
    typed("delete branch r@dev")
    assert typed("update repo r -d second") == ""
    assert "Description: second\n" in typed("inspect repo r")
    typed("delete repo r")
    assert "not found" in typed.fails("inspect repo r")


def test_what_an_open_transaction_holds_is_not_there_yet(typed):
    assert typed.pachctl("start", "transaction").status == 0
    try:
        typed("create repo later")
        said = typed.fails("put file later@master:/x", b"1")
    finally:
        assert typed.pachctl("finish", "transaction").status == 0
    assert "not found" in said
    assert "what it makes is there when it is finished" in said
    assert "Transaction" not in typed.fails("put file never@master:/x", b"1")


def test_a_failed_datum_says_where_to_look(typed):
    typed("create repo r")
    typed("put file r@master:/a", b"1")
    spec = {"pipeline": {"name": "p"}, "transform": {"cmd": ["false"]}, "input": {"pfs": {"repo": "r", "glob": "/"}}}
    typed("create pipeline", json.dumps({**spec, "datumTries": 1}).encode())
    typed("wait commit p@master")
    job = f"p@{typed.raw('list job -p p')[0]['job']['id']}"
    (datum,) = (one["datum"]["id"] for one in typed.raw(f"list datum {job}"))
    assert f"`pachctl logs --job {job} --datum {datum}`" in typed.done(f"inspect datum {job} {datum}").err
    assert "p@master depends on it" in typed.fails("delete repo r")
    assert typed("list datum p") == typed("list datum p@master") == typed(f"list datum {job}")


def test_pipelines_run_and_are_looked_at(typed):
    (typed.folder / "image").mkdir()
    (typed.folder / "image" / "count.py").write_text(COUNT)
    (typed.folder / "specs.yaml").write_text(SPECS)
    assert len(typed.pachctl("create", "image", "count:1", "image").out.strip()) == 64
    typed("create repo words")
    (typed.folder / "a").write_text("one two")
    (typed.folder / "b").write_text("three")
    typed("put file words@master -f a -f b")
    created = typed.done("create pipeline -f specs.yaml")
    assert (created.status, "runs on this machine's own files" in created.err) == (0, True)
    typed("wait commit sum@master")
    assert typed("get file sum@master:/all") == "21"
    (first,) = typed.raw("list job -p count")
    assert (first["state"], first["data_processed"]) == ("JOB_SUCCESS", "2")
    assert sorted(typed("logs -p count").splitlines()) == ["counting a", "counting b"]
    (typed.folder / "c").write_text("four five six")
    typed("put file words@master -f c")
    typed("wait commit sum@master")
    assert typed("get file sum@master:/all") == "213"
    table = typed("list job -p count").splitlines()
    assert [line.split("  ")[0].split()[0] for line in table[1:]] == [typed.project] * 2
    assert "1 + 2 / 3" in table[1]
    id = table[1].split()[2]
    states = [line.split()[2] for line in typed(f"list datum count@{id}").splitlines()[1:]]
    assert sorted(states) == ["skipped", "skipped", "success"]
    assert "Processed: 1" in typed(f"inspect job count@{id}")
    (typed.folder / "specs.yaml").write_text(SPECS.split("---", maxsplit=1)[0])
    assert "the code changed" not in typed.done("update pipeline -f specs.yaml").err
    (typed.folder / "specs.yaml").write_text(SPECS.split("---", maxsplit=1)[0].replace("[python3,", "[python3, -B,"))
    assert "the code changed" in typed.done("update pipeline -f specs.yaml --dry-run").err
    assert "the code changed" in typed.done("update pipeline -f specs.yaml").err
    assert "the code changed" not in typed.done("update pipeline -f specs.yaml --reprocess").err
    typed("wait commit sum@master")
    assert "3 + 0 / 3" in typed("list job -p count").splitlines()[1]
    assert "count" in typed("draw pipeline")
    assert "Stopped: false" in typed("inspect pipeline count")
    typed("stop pipeline count")
    assert "Stopped: true" in typed("inspect pipeline count")
    typed("start pipeline count")
    typed("delete pipeline sum")
    typed("delete pipeline count")
    assert typed("list pipeline").count("\n") == 1


def test_bad_input_is_refused_in_words(typed):
    assert "not found" in typed.fails("put file nowhere@master:/x", b"1")
    typed("create repo r")
    assert "already exists" in typed.fails("create repo r")
    assert "/../" in typed.fails("put file r@master:/a/../b", b"1")
    assert "nowhere" in typed.fails("create pipeline -f -", json.dumps(
        {"pipeline": {"name": "p"}, "transform": {"cmd": ["true"]}, "input": {"pfs": {"repo": "nowhere", "glob": "/*"}}}
    ).encode())  # fmt: skip
    assert typed("list pipeline").count("\n") == 1
    typed("put file r@master:/x", b"1")
    assert "glob" in typed.fails("glob file r@master:/[")


ID = "0" * 32
TEMPLATE = """\
function(name, tries="2") {
  pipeline: {name: name}, transform: {cmd: ["true"]}, input: {pfs: {repo: "r", glob: "/*"}},
  datumTries: std.parseInt(tries),
}
"""


@pytest.mark.skipif(find_spec("_gojsonnet") is None, reason="needs gojsonnet")
def test_a_pipeline_comes_from_a_template(typed):
    typed("create repo r")
    (typed.folder / "t.jsonnet").write_text(TEMPLATE)
    typed("create pipeline --jsonnet t.jsonnet --arg name=made --arg tries=4")
    assert typed.raw("inspect pipeline made")[0]["details"]["datum_tries"] == "4"
    assert 'needs the argument "name"' in typed.fails("update pipeline --jsonnet t.jsonnet")
    (typed.folder / "t.jsonnet").write_text(TEMPLATE.replace("datumTries", "datumTrys"))
    assert 'did you mean "datumTries"' in typed.fails("update pipeline --jsonnet t.jsonnet --arg name=made")


def test_defaults_lie_below_specs(typed):
    typed("create repo r")
    spec = b'{"pipeline": {"name": "p"}, "input": {"pfs": {"repo": "r", "glob": "/"}}}'
    assert "must specify a transform" in typed.fails("create pipeline", spec)
    document = b"createPipelineRequest:\n  transform: {cmd: ['true']}\n  jobTimeout: 1h\n"
    assert typed("create defaults", document) == "no affected pipelines\n"
    typed("create pipeline", spec)
    assert json.loads(typed("inspect defaults")) == {
        "createPipelineRequest": {"transform": {"cmd": ["true"]}, "jobTimeout": "1h"}
    }
    affected = f"affected pipelines:\n{typed.project}/p\n"
    longer = document.replace(b"1h", b"2h")
    assert typed("update defaults --regenerate --dry-run", longer) == affected
    assert typed.raw("inspect pipeline p")[0]["details"]["job_timeout"] == "3600s"
    kept = typed.done("update defaults", longer)
    assert (kept.out, f"{typed.project}/p" in kept.err) == ("no affected pipelines\n", True)
    assert typed("update defaults --regenerate", longer) == affected
    info = typed.raw("inspect pipeline p")[0]
    assert (info["version"], info["details"]["job_timeout"]) == ("2", "7200s")
    assert "job_timeout" not in json.loads(info["user_spec_json"])
    assert "cannot be regenerated" in typed.fails("delete defaults --regenerate")
    assert typed("delete defaults") == "no affected pipelines\n"


def test_what_only_kubernetes_acts_on_is_kept_and_said(typed):
    typed("create repo r")
    spec = {
        "pipeline": {"name": "p"}, "transform": {"cmd": ["true"]}, "input": {"pfs": {"repo": "r", "glob": "/"}},
        "podPatch": "[]", "tolerations": [{"key": "a", "operator": "EXISTS"}], "metadata": {"labels": {"a": "b"}},
        "schedulingSpec": {"nodeSelector": {"disk": "ssd"}}, "sidecarResourceLimits": {"cpu": 1},
    }  # fmt: skip
    fields = (
        "metadata, scheduling_spec, pod_patch, tolerations, sidecar_resource_limits are kept and shown, but not used"
    )
    assert fields in typed.done("create pipeline", json.dumps(spec).encode()).err
    assert fields in typed.done("inspect pipeline p").err
    details = typed.raw("inspect pipeline p")[0]["details"]
    assert (details["pod_patch"], details["metadata"]) == ("[]", {"labels": {"a": "b"}})
    assert details["tolerations"] == [{"key": "a", "operator": "EXISTS"}]
    assert details["scheduling_spec"] == {"node_selector": {"disk": "ssd"}}
    assert details["sidecar_resource_limits"] == {"cpu": 1.0}


def test_every_field_that_only_kubernetes_acts_on_is_kept_and_said(typed):
    typed("create repo r")
    alone = {
        place: {name: field.example for name, field in MESSAGES[place].fields.items() if field.kubernetes}
        for place in ("spec", "transform")
    }
    spec = {"pipeline": {"name": "p"}, "input": {"pfs": {"repo": "r", "glob": "/"}}, **alone["spec"]}
    spec["transform"] = {"cmd": ["true"], **alone["transform"]}
    told = typed.done("create pipeline", json.dumps(spec).encode()).err
    details = typed.raw("inspect pipeline p")[0]["details"]
    for name in alone["spec"]:
        assert name in told
        assert details[name], name
    for name in alone["transform"]:
        assert f"transform.{name}" in told
        assert details["transform"][name], name


LINES = {
    "backup": "/nowhere/b", "restore": "/nowhere/b", "export": "nowhere -o /nowhere/b", "import": "/nowhere/b",
    "create defaults": "--project nowhere", "update defaults": "--project nowhere", "inspect defaults": "--cluster",
    "delete defaults": "--project nowhere",
    "create branch": "a@b", "create image": "x /nowhere", "create pipeline": "-f nowhere", "create project": "a.b",
    "create repo": "a.b", "update pipeline": "-f nowhere", "update project": "nowhere", "update repo": "nowhere",
    "edit metadata": "repo nowhere add a=b",
    "debug binary": "/nowhere/b", "debug dump": "/nowhere/d",
    "debug log-level": "info", "debug profile": "cpu /nowhere/p", "debug template": "",
    "run pfs-load-test": "/nowhere/spec", "run pps-load-test": "/nowhere/spec",
    "edit pipeline": "nowhere", "inspect branch": "a@b", "inspect cluster": "", "inspect commit": "a@b",
    "inspect datum": f"a@{ID} d", "inspect file": "a@b:/c", "inspect image": "nowhere", "inspect job": f"a@{ID}",
    "inspect pipeline": "nowhere", "inspect project": "nowhere", "inspect repo": "nowhere", "list branch": "nowhere",
    "list commit": "nowhere", "list datum": f"a@{ID}", "list file": "a@b", "list image": "", "list job": "",
    "list pipeline": "", "list project": "", "list repo": "", "delete branch": "a@b", "delete file": "a@b:/c",
    "delete image": "nowhere", "delete job": f"a@{ID}", "delete pipeline": "nowhere", "delete project": "nowhere",
    "delete repo": "nowhere", "start commit": "nowhere@b", "start pipeline": "nowhere", "stop job": f"a@{ID}",
    "stop pipeline": "nowhere", "finish commit": "a@b", "wait commit": "a@b", "wait job": f"a@{ID}",
    "subscribe commit": "nowhere", "put file": "nowhere@b:/c", "get file": "a@b:/c", "copy file": "a@b:/c a@b:/d",
    "glob file": "a@b:/*", "diff file": "a@b", "restart datum": f"a@{ID} /c", "validate pipeline": "-f nowhere",
    "draw pipeline": "", "logs": "-p nowhere", "version": "", "delete all": "",
    "delete commit": ID, "delete commitV2": "a@b", "delete transaction": ID, "find commit": "a@b:/c",
    "finish transaction": ID, "fsck": "", "inspect transaction": ID, "list transaction": "", "rerun pipeline": "a",
    "resume transaction": ID, "run cron": "a", "squash commit": ID, "squash commitV2": "a@b", "start transaction": "",
    "stop transaction": "", "create secret": "-f nowhere", "delete secret": "nowhere", "inspect secret": "nowhere",
    "next datum": "", "list secret": "",
    "why": f"a@{ID}", "inspect storage": "", "run collection": "", "check status": "",
    "create tag": "a@b --commit c", "list tag": "nowhere", "delete tag": "a@b",
    "merge branch": "a@b into a@c",
    "purge file": "a:/b", "inspect purge": ID, "list purge": "nowhere", "stop purge": ID,
    "replay": f"a@{ID} d", "loki": "x", "kube-events": "",
}  # fmt: skip
"""A line for each command that asks the server something, with names that are not there."""


def leaves(tree: Tree, words: str = "") -> Iterator[str]:
    for word, inner in tree.items():
        if isinstance(inner, str):
            yield f"{words}{word}"
        else:
            yield from leaves(inner, f"{words}{word} ")


def test_help_lists_what_pachd_can_do_and_nothing_else(pachctl):
    here = {"connect", "completion", "inspect schema", "render", "buildinfo", "exit", "shell"}
    asking = {one for one in leaves(COMMANDS) if not one.startswith("config ")} - here
    assert asking == set(LINES)
    lacking = set()
    for command, line in LINES.items():
        done = pachctl(*command.split(), *line.split(), stdin=b"n\n")
        if " is not built" in done.err:
            lacking.add(command)
    unlisted = {one for one in asking if one in UNLISTED or one.split()[0] in UNLISTED}
    assert lacking == unlisted
