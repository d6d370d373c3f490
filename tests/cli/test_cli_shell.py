"""The shell of pachctl's own, and commands that stand beside it."""

from __future__ import annotations

import json

import pytest
import yaml
from cli_things import repo

from trunkline import __version__
from trunkline.ambient import SimulatedAmbient
from trunkline.cli.commands.setup.shell import completer
from trunkline.cli.session import Session
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import transaction_v2_pb2 as transactions


@pytest.fixture
def repos(server):
    found = [pfs.RepoInfo(repo=repo(name)) for name in ("images", "inbox", "edges")]
    server.script["pfs.ListRepo"] = found
    return found


def test_lines_are_commands_until_exit(pachctl, server, context, repos):
    typed = b'list repo\n\n# nothing\npachctl list repo\nfoo\n"unclosed\nexit\nlist repo\n'
    done = pachctl("shell", stdin=typed)
    assert done.status == 0
    assert done.out.count("PROJECT NAME") == 2
    assert done.out.count("inbox") == 2
    assert 'unknown command "foo"' in done.err
    assert "cannot read that line: No closing quotation" in done.err
    assert len(server.named("pfs.ListRepo")) == 2


def test_the_end_of_input_ends_the_shell(pachctl, server, context, repos):
    assert pachctl("shell", stdin=b"list repo").status == 0
    assert server.named("pfs.ListRepo")


def test_what_one_line_sets_is_so_for_the_next(pachctl, server, context, repos):
    id_ = "a" * 32
    server.script["transactions.StartTransaction"] = transactions.Transaction(id=id_)
    done = pachctl("shell", stdin=b"config update context --project sea\nlist repo\nstart transaction\nlist repo\n")
    assert done.status == 0
    first, second = server.named("pfs.ListRepo")
    assert [one.request.projects[0].name for one in (first, second)] == ["sea", "sea"]
    assert [dict(one.metadata).get("pach-transaction") for one in (first, second)] == [None, id_]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("crea", ["create "]),
        ("create pro", ["project "]),
        ("inspect repo i", ["images ", "inbox "]),
        ("inspect repo ", ["edges ", "images "]),
        ("inspect repo zzz", []),
        ("list repo --raw --proj", ["--project "]),
    ],
)
def test_words_are_completed(server, context, config, repos, line, found):
    session = Session({"PACH_CONFIG": str(config)}, SimulatedAmbient())
    complete = completer(session, lambda: line, 2)
    last = line.rpartition(" ")[2]
    offered = []
    while (word := complete(last, len(offered))) is not None:
        offered.append(word)
    assert offered == found


def test_exit_alone_does_nothing(pachctl):
    done = pachctl("exit")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_help_before_a_command_is_help_after_it(pachctl):
    assert pachctl("help", "list", "repo").out == pachctl("list", "repo", "--help").out
    assert pachctl("help").out == pachctl("--help").out
    assert pachctl("help", "nothing").status == 1


def test_what_it_is_made_of(pachctl):
    told = yaml.safe_load(pachctl("buildinfo").out)
    assert (told["name"], told["version"]) == ("trunkline", __version__)
    assert {"click", "grpcio", "protobuf"} <= set(told["libraries"])
    assert "pytest" not in told["libraries"]


def test_the_enterprise_servers_context(pachctl, context, config):
    assert pachctl("config", "get", "active-enterprise-context").out == "NONE\n"
    assert pachctl("config", "set", "active-enterprise-context", "other").status == 1
    assert pachctl("config", "set", "context", "other", stdin=b"{}").status == 0
    assert pachctl("config", "set", "active-enterprise-context", "other").status == 0
    assert pachctl("config", "get", "active-enterprise-context").out == "other\n"
    assert pachctl("config", "list", "context").out.splitlines()[1:] == ["E      other", "*      test"]
    assert pachctl("config", "delete", "context", "other").status == 0
    assert "active_enterprise_context" not in json.loads(config.read_text())["v2"]
