"""The frame around commands: loading, help, counting arguments, errors, speed."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from trunkline.cli import entry
from trunkline.cli.groups import Command, LazyGroup, load
from trunkline.cli.session import Session
from trunkline.cli.table import COMMANDS, CONFIG_HELP, SYNONYMS, UNLISTED, VERB_HELP, Tree
from trunkline.errors import Internal, Kind, NotFound, TrunklineError
from trunkline.wire.gen import pfs_v2_pb2 as pfs

HEAVY = ("grpc", "google.protobuf", "rich", "yaml", "pyarrow", "asyncio", "decimal", "trunkline.model.specs")


def leaves(tree: Tree, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command's words and where it is."""
    for word, entry_ in tree.items():
        if isinstance(entry_, str):
            yield (*words, word), entry_
        else:
            yield from leaves(entry_, (*words, word))


LEAVES = list(leaves(COMMANDS))


@pytest.mark.parametrize(("words", "reference"), LEAVES, ids=[" ".join(words) for words, _ in LEAVES])
def test_every_command_loads_and_explains_itself(pachctl, words, reference):
    command = load(reference, words[-1])
    assert isinstance(command, Command)
    assert command.help
    for param in command.params:
        assert isinstance(param, click.Argument) or param.help, f"{words}: {param.name} is not explained"
    done = pachctl(*words, "--help")
    assert done.status == 0
    assert done.out.startswith(f"Usage: pachctl {' '.join(words)} ")


def test_every_verb_has_its_line():
    assert {verb for verb, entry_ in COMMANDS.items() if not isinstance(entry_, str)} == set(VERB_HELP)
    config = COMMANDS["config"]
    assert not isinstance(config, str)
    assert set(config) == set(CONFIG_HELP)


def test_help_leaves_out_what_this_server_lacks(pachctl):
    known = {" ".join(words) for words, _ in LEAVES} | set(COMMANDS)
    assert known >= UNLISTED
    shown = pachctl("--help").out
    assert [verb for verb, help_ in VERB_HELP.items() if verb in UNLISTED and help_ in shown] == []
    assert "commit " in pachctl("finish").out


def test_a_bare_verb_prints_its_help(pachctl):
    done = pachctl("list")
    assert done.status == 0
    assert "List the repos of a project, newest first." in done.out


@pytest.mark.parametrize("plural", sorted(SYNONYMS))
def test_plurals_mean_the_same(plural):
    for verb in ("list", "create", "inspect", "delete"):
        tree = COMMANDS[verb]
        assert not isinstance(tree, str)
        if SYNONYMS[plural] in tree:
            group = LazyGroup(verb, tree, "")
            context = click.Context(group)
            assert group.get_command(context, plural) is group.get_command(context, SYNONYMS[plural])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("create repo", "expected 1 argument, got 0"),
        ("create repo a b", "expected 1 argument, got 2"),
        ("create repo a b --project x", "expected 1 argument, got 2"),
        ("copy file a@b:/c", "expected 2 arguments, got 1"),
        ("diff file", "expected 1 to 2 arguments, got 0"),
        ("list commit a b", "expected 0 to 1 arguments, got 2"),
    ],
)
def test_arguments_are_counted(pachctl, line, said):
    done = pachctl(*line.split())
    assert done.status == 1
    assert done.err.splitlines()[0] == said
    assert "Usage: pachctl" in done.err
    assert done.out == ""


@pytest.mark.parametrize("line", ["lst repo", "list rpo", "list repo --nonsense", "list repo --type x", "nonsense"])
def test_what_is_unknown_ends_with_one(pachctl, line):
    done = pachctl(*line.split())
    assert done.status == 1
    assert done.err
    assert "Traceback" not in done.err


def test_the_nearest_word_is_offered(pachctl):
    assert "did you mean `pachctl list repo`" in pachctl("list", "rpo").err


def test_raw_output_has_a_form_only_if_raw(pachctl):
    assert "--raw" in pachctl("list", "repo", "-o", "yaml").err


@pytest.mark.parametrize("kind", list(Kind))
def test_an_error_of_any_kind_is_one_line(pachctl, server, context, kind):
    (raised,) = (
        one for one in TrunklineError.__subclasses__() if one.kind is kind and one.__module__ == "trunkline.errors"
    )
    server.script["pfs.InspectRepo"] = raised("no such luck")
    done = pachctl("inspect", "repo", "a")
    assert (done.status, done.out) == (1, "")
    expected = "pachd met a bug of its own: no such luck" if raised is Internal else "no such luck"
    assert done.err == expected + "\n"


def test_a_bug_is_one_line_too_unless_asked(pachctl, server, context, monkeypatch):
    def broken(*_args: object, **_more: object) -> None:
        raise RuntimeError("what")

    monkeypatch.setattr(Session, "table", broken)
    server.script["pfs.ListRepo"] = [pfs.RepoInfo()]
    done = pachctl("list", "repo")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "RuntimeError: what" in done.err
    assert "Traceback" in pachctl("list", "repo", "-v").err


def test_nobody_listening_says_what_to_do(pachctl, config):
    config.parent.mkdir()
    config.write_text('{"v2": {"active_context": "a", "contexts": {"a": {"pachd_address": "127.0.0.1:1"}}}}')
    done = pachctl("list", "repo")
    assert done.status == 1
    assert done.err == (
        "cannot reach pachd at 127.0.0.1:1; start one with `pachd`, or choose another with `pachctl connect`\n"
    )


def test_ctrl_c_is_quiet(pachctl, server, context, monkeypatch):
    def interrupted(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "table", interrupted)
    server.script["pfs.ListRepo"] = []
    done = pachctl("list", "repo")
    assert (done.status, done.out, done.err.strip()) == (130, "", "")


def test_a_pipe_nobody_reads_is_quiet(pachctl, server, context, monkeypatch):
    class Closed(io.StringIO):
        def fileno(self) -> int:
            return null

        def write(self, _text: str) -> int:
            raise BrokenPipeError

    null = os.open(os.devnull, os.O_WRONLY)
    server.script["pfs.ListRepo"] = [pfs.RepoInfo()]
    monkeypatch.setattr(sys, "stdout", Closed())
    done = pachctl("list", "repo")
    os.close(null)
    assert (done.status, done.err) == (1, "")


def test_verbose_shows_the_calls(pachctl, server, context):
    server.script["pfs.ListRepo"] = []
    assert pachctl("list", "repo", "-v").err == "> pfs_v2.API/ListRepo\n"
    assert pachctl("-v", "list", "repo").err == "> pfs_v2.API/ListRepo\n"


def test_the_context_goes_with_the_call(pachctl, server, context, config):
    config.write_text(
        config.read_text().replace('"pachd_address"', '"session_token": "tok", "project": "p", "pachd_address"')
    )
    server.script["pfs.ListRepo"] = []
    pachctl("list", "repo")
    call = server.only("pfs.ListRepo")
    assert call.metadata["authn-token"] == "tok"
    assert "pach-transaction" not in call.metadata
    assert call.metadata["user-agent"].startswith("pachctl/")
    assert [one.name for one in call.request.projects] == ["p"]


def test_not_found_is_not_a_bug(pachctl, server, context):
    server.script["pfs.InspectRepo"] = NotFound('repo "default/a" not found')
    assert pachctl("inspect", "repo", "a").err == 'repo "default/a" not found\n'


@pytest.mark.parametrize(
    "args", [["--help"], ["list", "--help"], ["create"], ["put", "file", "--help"], ["version", "--client-only"]]
)
def test_nothing_heavy_is_loaded_for_help(args, tmp_path):
    environ = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from trunkline.cli import main; main()", *args],
        capture_output=True,
        text=True,
        env=environ,
        check=True,
    )
    loaded = set(re.findall(r"\|\s+(\S+)$", done.stderr, re.M))
    assert "trunkline.cli.groups" in loaded
    assert not [name for name in loaded for heavy in HEAVY if name == heavy or name.startswith(heavy + ".")]


def test_completion_knows_the_words(monkeypatch, capsys):
    monkeypatch.setenv("_PACHCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "pachctl list re")
    monkeypatch.setenv("COMP_CWORD", "2")
    with pytest.raises(SystemExit):
        entry.run([], Session({}))
    assert "plain,repo" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_printed_and_installed(pachctl, shell, tmp_path):
    printed = pachctl("completion", shell).out
    assert "_PACHCTL_COMPLETE" in printed
    target = tmp_path / "deep" / "pachctl"
    assert pachctl("completion", shell, "--install", "--path", target).status == 0
    assert target.read_text() == printed
    assert pachctl("completion", shell, "--path", target).status == 1


def test_the_program_is_installed_and_names_its_version():
    program = Path(sys.executable).parent / "pachctl"
    done = subprocess.run([program, "version", "--client-only"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"COMPONENT +VERSION\npachctl +\d+\.\d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("pachctl inspect repo im", ["plain,images"]),
        ("pachctl put file ", ["plain,edges", "plain,images"]),
        ("pachctl list branch x", []),
        ("pachctl config set active-context t", ["plain,test"]),
        ("pachctl inspect pipeline ", []),
    ],
)
def test_completion_asks_the_server_and_is_silent_about_trouble(
    server, context, config, monkeypatch, capsys, words, wanted
):
    server.script["pfs.ListRepo"] = [pfs.RepoInfo(repo=pfs.Repo(name=name)) for name in ("images", "edges")]
    monkeypatch.setenv("_PACHCTL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit):
        entry.run([], Session({"PACH_CONFIG": str(config)}))
    found = capsys.readouterr()
    assert (found.out.split(), found.err) == (wanted, "")
