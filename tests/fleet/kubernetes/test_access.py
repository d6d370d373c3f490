"""Kubeconfigs, the account of a pod, and what is said where neither is of use."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from trunkline.errors import FailedPrecondition
from trunkline.fleet.kubernetes.access import find_access


def config(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    return {
        "clusters": [{"name": "c", "cluster": {"server": "http://198.18.2.2:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "data"}}],
        "current-context": "x",
    }


def written(folder: Path, document: Any) -> str:
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_a_token_and_a_namespace(tmp_path: Path) -> None:
    access = find_access({}, written(tmp_path, config({"token": "abc"})))
    assert (access.url, access.namespace, access.token()) == ("http://198.18.2.2:6443", "data", "abc")
    assert "abc" not in repr(access)


def test_the_usual_places_are_looked_in(tmp_path: Path) -> None:
    path = written(tmp_path, config({"token": "abc"}))
    assert find_access({"KUBECONFIG": f"{path}:/elsewhere"}).token() == "abc"
    (tmp_path / ".kube").mkdir()
    (tmp_path / "config").rename(tmp_path / ".kube" / "config")
    assert find_access({"HOME": str(tmp_path)}).token() == "abc"


def test_a_token_file_is_read_again_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    access = find_access({}, written(tmp_path, config({"tokenFile": "token"})))
    assert access.token() == "one"
    (tmp_path / "token").write_text("two\n")
    assert access.token() == "two"


def test_a_login_program_is_asked(tmp_path: Path) -> None:
    answer = json.dumps({"status": {"token": "fresh"}})
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", f"echo '{answer}'"]}
    assert find_access({}, written(tmp_path, config({"exec": program}))).token() == "fresh"
    broken = find_access({}, written(tmp_path, config({"exec": {**program, "args": ["-c", "exit 3"]}})))
    with pytest.raises(FailedPrecondition, match="login program of the cluster, sh, failed"):
        broken.token()


def test_inside_a_pod_its_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    for name, text in (("token", "mine"), ("namespace", "data"), ("ca.crt", "")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: None)
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = find_access(environ, inside=tmp_path)
    assert (access.url, access.namespace, access.token()) == ("https://[fd00::1]:443", "data", "mine")


BAD = [
    ("- 1", "cannot be used"),
    ("{", "cannot be read"),
    (json.dumps({"current-context": "y", "contexts": []}), 'none of its contexts is called "y"'),
    (json.dumps({"contexts": []}), "it has no 'current-context'"),
    (json.dumps(config({}, server="https://x", **{"certificate-authority-data": "!!!a"})), "cannot be used"),
    (json.dumps(config({}, server="https://x", **{"certificate-authority": "none.crt"})), "cannot be used"),
    (
        json.dumps(config({}, server="https://x", **{"certificate-authority-data": base64.b64encode(b"x").decode()})),
        "cannot be used",
    ),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(FailedPrecondition, match=why):
        find_access({}, str(tmp_path / "config"))


def test_no_cluster_at_all(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"no Kubernetes cluster is known here.*--kubeconfig"):
        find_access({"HOME": str(tmp_path)})
