"""Secrets in user code: as files and variables, with a real server, and nowhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_pipelines_whole import Site

from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.timeout(180)

HIDDEN = "s3cr3t-of-ours"
CODE = """
set -e
cat /keys/deep/password > /pfs/out/file; cat /etc/own-keys/user >> /pfs/out/file; cat /run/k/user >> /pfs/out/file
printf '%s' "$PASSWORD" > /pfs/out/variable
echo "logging in with $PASSWORD"
ls /etc/passwd > /pfs/out/host
cat /pfs/.env > /pfs/out/env
touch /keys/deep/new 2> /dev/null && echo writable > /pfs/out/wrong || true
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("secrets"), ["--workers", "1"]) as server:
        yield Site(server)


def test_code_is_given_its_secrets_and_nothing_else_shows_them(site: Site) -> None:
    data = {"password": base64.b64encode(HIDDEN.encode()).decode(), "user": base64.b64encode(b"u").decode()}
    form = {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "db"}, "data": data}
    site.pachctl("create", "secret", "-f", "-", stdin=json.dumps(form).encode())
    assert [line.split()[:2] for line in site.pachctl("list", "secret").splitlines()] == [
        ["NAME", "TYPE"],
        ["db", "Opaque"],
    ]
    assert "Opaque" in site.pachctl("inspect", "secret", "db")
    site.pachctl("create", "repo", "told-in")
    mounts = [{"name": "db", "mount_path": path} for path in ("/keys/deep", "/etc/own-keys", "/run/k")]
    variable = {"name": "db", "env_var": "PASSWORD", "key": "password"}
    site.create("told", {"cmd": ["sh"], "stdin": [CODE], "secrets": [*mounts, variable]})
    site.put("told-in", a="1")
    assert site.counts("told") == ("success", 1, 0), site.job("told").get("reason")
    tree = site.tree("told")
    assert (tree["/file"], tree["/variable"]) == (f"{HIDDEN}uu", HIDDEN)
    assert tree["/host"].strip() == "/etc/passwd"
    assert HIDDEN not in tree["/env"]
    assert "/wrong" not in tree
    shown = [
        site.pachctl("inspect", "pipeline", "told", "--raw"),
        site.pachctl("logs", "--pipeline", "told"),
        site.server.log.read_text(errors="replace"),
        *_command_lines(site),
    ]
    assert not [text for text in shown if HIDDEN in text]
    assert "logging in with ***\n" in shown[1]


def _command_lines(site: Site) -> list[str]:
    found = []
    for pid in site.server.family():
        for name in ("cmdline", "environ"):
            try:
                found.append(Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace"))
            except OSError:  # it has ended meanwhile
                continue
    return found


def test_a_missing_secret_is_named_when_a_pipeline_is_made(site: Site) -> None:
    site.pachctl("create", "repo", "lacking-in")
    body = {
        "pipeline": {"name": "lacking"},
        "transform": {"cmd": ["true"], "secrets": [{"name": "nothing", "mount_path": "/keys"}]},
        "input": {"pfs": {"repo": "lacking-in", "glob": "/*"}},
    }
    told = site.refused("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    assert "secret nothing does not exist" in told
    assert "pachctl create secret" in told
