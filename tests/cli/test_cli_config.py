"""Contexts, and the file that they are kept in."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_nothing_is_written_before_something_changes(pachctl, config):
    assert pachctl("config", "get", "active-context").out == "NONE\n"
    assert pachctl("config", "list", "contexts").out == "ACTIVE NAME\n"
    assert not config.exists()


def test_connect_makes_a_context_named_after_the_address(pachctl, config):
    done = pachctl("connect", "grpcs://pachd.example.com")
    assert done.status == 0
    assert done.out.splitlines() == [
        'New context "pachd.example.com:30650" connects to grpcs://pachd.example.com:30650.',
        'Context "pachd.example.com:30650" is active.',
    ]
    document = json.loads(config.read_text())
    assert document["v2"]["active_context"] == "pachd.example.com:30650"
    assert document["v2"]["contexts"]["pachd.example.com:30650"] == {"pachd_address": "grpcs://pachd.example.com:30650"}
    assert len(document["user_id"]) == 32


def test_connect_takes_whom_to_trust(pachctl, config, tmp_path):
    (tmp_path / "ca.pem").write_bytes(PEM)
    assert pachctl("connect", "grpcs://a.example", "--alias", "a", "--server-cas", tmp_path / "ca.pem").status == 0
    (one,) = json.loads(config.read_text())["v2"]["contexts"].values()
    assert base64.b64decode(one["server_cas"]) == PEM
    (tmp_path / "ca.pem").write_bytes(b"nothing")
    done = pachctl("connect", "grpcs://b.example", "--server-cas", tmp_path / "ca.pem")
    assert (done.status, "holds no PEM certificate" in done.err) == (1, True)
    assert "b.example" not in config.read_text()


def test_the_file_is_for_its_owner_only(pachctl, config):
    pachctl("connect", "localhost", "--alias", "home")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert [entry.name for entry in config.parent.iterdir()] == ["config.json"]


def test_unknown_keys_are_kept(pachctl, config):
    config.parent.mkdir()
    config.write_text(
        json.dumps({"later": 1, "v2": {"new": [2], "contexts": {"a": {"project": "p", "secret_new": "x"}}}})
    )
    assert pachctl("config", "set", "active-context", "a").status == 0
    assert pachctl("config", "update", "context", "--project", "other").status == 0
    document = json.loads(config.read_text())
    assert document["later"] == 1
    assert document["v2"]["new"] == [2]
    assert document["v2"]["contexts"]["a"] == {"project": "other", "secret_new": "x"}


def test_a_linked_file_stays_a_link(pachctl, config, tmp_path):
    real = tmp_path / "elsewhere.json"
    real.write_text("{}")
    config.parent.mkdir()
    config.symlink_to(real)
    pachctl("connect", "localhost")
    assert config.is_symlink()
    assert "localhost:30650" in json.loads(real.read_text())["v2"]["contexts"]


def test_a_broken_file_is_named_with_its_place(pachctl, config):
    config.parent.mkdir()
    config.write_text('{"v2": {\n oops}}')
    done = pachctl("config", "get", "active-context")
    assert done.status == 1
    assert str(config) in done.err
    assert "line 2, column 2" in done.err
    assert config.read_text() == '{"v2": {\n oops}}'


@pytest.mark.parametrize("text", ["[]", '{"v2": 3}', '{"v2": {"contexts": []}}', '{"v2": {"contexts": {"a": 1}}}'])
def test_a_file_of_another_shape_is_refused(pachctl, config, text):
    config.parent.mkdir()
    config.write_text(text)
    done = pachctl("config", "get", "active-context")
    assert done.status == 1
    assert str(config) in done.err


def test_a_context_goes_in_and_out_as_json(pachctl):
    data = {"pachd_address": "localhost:1", "session_token": "t", "source": 2}
    assert pachctl("config", "set", "context", "a", stdin=json.dumps(data).encode()).status == 0
    shown = json.loads(pachctl("config", "get", "context", "a").out)
    assert shown == {**data, "pachd_address": "grpc://localhost:1"}
    again = pachctl("config", "set", "context", "a", stdin=b"{}")
    assert (again.status, "--overwrite" in again.err) == (1, True)
    assert pachctl("config", "set", "context", "a", "--overwrite", stdin=b"{}").status == 0
    assert json.loads(pachctl("config", "get", "context", "a").out) == {}


def test_a_context_is_checked_whole(pachctl):
    done = pachctl("config", "set", "context", "a", stdin=b'{"pachd_adress": "x", "project": 3}')
    assert done.status == 1
    assert 'did you mean "pachd_address"?' in done.err
    assert '"project" cannot be 3' in done.err


def test_update_checks_what_it_writes(pachctl, tmp_path, config):
    pachctl("connect", "localhost", "--alias", "a")
    certificates = tmp_path / "ca.pem"
    certificates.write_bytes(PEM)
    assert pachctl("config", "update", "context", "--server-cas", certificates).status == 0
    stored = json.loads(config.read_text())["v2"]["contexts"]["a"]["server_cas"]
    assert base64.b64decode(stored) == PEM
    certificates.write_text("no such thing")
    assert "no PEM certificate" in pachctl("config", "update", "context", "--server-cas", certificates).err
    assert pachctl("config", "update", "context", "--project", "a.b").status == 1
    assert pachctl("config", "update", "context", "--pachd-address", "http://u:p@h").status == 1
    assert pachctl("config", "update", "context", "nowhere", "--project", "p").status == 1


def test_an_empty_value_takes_the_field_away(pachctl, config):
    pachctl("connect", "localhost", "--alias", "a")
    pachctl("config", "update", "context", "--project", "p")
    pachctl("config", "update", "context", "--project", "")
    assert "project" not in json.loads(config.read_text())["v2"]["contexts"]["a"]


def test_the_active_context_cannot_be_deleted(pachctl):
    pachctl("connect", "localhost", "--alias", "a")
    pachctl("connect", "localhost", "--alias", "b")
    assert pachctl("config", "list", "context").out == "ACTIVE NAME\n       a\n*      b\n"
    assert pachctl("config", "delete", "context", "b").status == 1
    assert pachctl("config", "delete", "context", "a").status == 0
    missing = pachctl("config", "get", "context", "a")
    assert (missing.status, "(contexts: b)" in missing.err) == (1, True)


def test_metrics_are_off_until_set(pachctl):
    assert pachctl("config", "get", "metrics").out == "false\n"
    pachctl("config", "set", "metrics", "true")
    assert pachctl("config", "get", "metrics").out == "true\n"


def test_a_folder_that_cannot_be_made_is_said(pachctl, config):
    config.parent.parent.mkdir(exist_ok=True)
    Path(config.parent).write_text("a file where the folder should be")
    done = pachctl("connect", "localhost")
    assert done.status == 1
    assert done.err.count("\n") == 1
