"""PACHD_ADDRESS and PACH_CA_CERTS: another server than the active context's, and whom to trust there."""

from __future__ import annotations

import base64
import json

import pytest
from cli_things import NOW_US

from trunkline.ambient import SimulatedAmbient
from trunkline.cli.entry import run
from trunkline.cli.session import Session
from trunkline.testing.scripted import ScriptedServer
from trunkline.testing.tls.certificates import HERE, make
from trunkline.wire.gen import pfs_v2_pb2 as pfs


def session(config, **environ):
    return Session({"PACH_CONFIG": str(config), "HOME": "/", **environ}, SimulatedAmbient(start_us=NOW_US))


@pytest.fixture
def contexts(config):
    """An active context of a server that is not there, with a project, a token and an open transaction."""
    one = {"pachd_address": "grpc://127.0.0.1:1", "project": "p", "session_token": "t", "active_transaction": "0" * 32}
    config.parent.mkdir()
    config.write_text(json.dumps({"v2": {"active_context": "a", "contexts": {"a": one}}}))
    return config


def test_the_variable_names_another_server_which_learns_nothing_of_the_first(contexts, capfd):
    with ScriptedServer() as server:
        server.script["pfs.InspectRepo"] = pfs.RepoInfo(repo=pfs.Repo(name="r", project=pfs.Project(name="p")))
        asking = session(contexts, PACHD_ADDRESS=server.address)
        assert run(["inspect", "repo", "r"], asking) == 0
        asking.close()
        asked = server.only("pfs.InspectRepo")
    assert asked.request.repo.project.name == "p"
    assert not {"authn-token", "pach-transaction"} & asked.metadata.keys()
    assert "Name: r" in capfd.readouterr().out


def test_the_same_server_is_the_context_s(contexts):
    same = session(contexts, PACHD_ADDRESS="grpc://127.0.0.1:1")
    assert (same.context.name, same.context.token) == ("a", "t")


def test_a_transaction_is_remembered_by_a_context_only(contexts, capfd):
    before = contexts.read_text()
    assert run(["start", "transaction"], session(contexts, PACHD_ADDRESS="grpc://127.0.0.1:2")) == 1
    assert "make a context for it with `pachctl connect`" in capfd.readouterr().err
    assert contexts.read_text() == before


def test_whom_to_trust(contexts, tmp_path):
    first, second = make(*HERE), make(*HERE)
    file, _ = first.write(tmp_path)
    assert session(contexts).trusted is None
    assert session(contexts, PACH_CA_CERTS=str(file)).trusted == first.certificate
    document = json.loads(contexts.read_text())
    document["v2"]["contexts"]["a"]["server_cas"] = base64.b64encode(second.certificate).decode()
    contexts.write_text(json.dumps(document))
    assert session(contexts, PACH_CA_CERTS=str(file)).trusted == second.certificate
