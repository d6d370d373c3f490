"""How a cluster is reached: by a kubeconfig, or from inside by the account of our own pod."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trunkline.errors import FailedPrecondition

INSIDE = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PROGRAM_S = 60.0


def _no_token() -> str:
    return ""


@dataclass(frozen=True)
class Access:
    """url: of the API server. token: asked for before each call, since it may change; "" for none."""

    url: str
    namespace: str
    context: ssl.SSLContext | None = None
    token: Callable[[], str] = field(default=_no_token, repr=False)


def find_access(environ: Mapping[str, str], path: str = "", inside: Path = INSIDE) -> Access:
    """The cluster of the kubeconfig `path`; else that of our own pod, of KUBECONFIG, or of the user's own file.

    Raises FailedPrecondition where there is none, or one that cannot be read.
    """
    if not path and environ.get("KUBERNETES_SERVICE_HOST") and (inside / "token").exists():
        return from_inside(environ, inside)
    usual = Path(environ.get("HOME", "/"), ".kube", "config")
    place = Path(path or environ.get("KUBECONFIG", "").partition(os.pathsep)[0] or usual)
    try:
        document = yaml.safe_load(place.read_text())
    except OSError as error:
        raise FailedPrecondition(
            f"no Kubernetes cluster is known here: {place}: {error.strerror}; name a kubeconfig with --kubeconfig"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FailedPrecondition(f"the kubeconfig {place} cannot be read: {' '.join(str(error).split())}") from None
    try:
        return from_kubeconfig(document, place.parent)
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        told = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise FailedPrecondition(f"the kubeconfig {place} cannot be used: {told}") from None


def from_inside(environ: Mapping[str, str], inside: Path = INSIDE) -> Access:
    """The cluster that we run in."""
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    shown = f"[{host}]" if ":" in host else host
    return Access(
        url=f"https://{shown}:{port}",
        namespace=(inside / "namespace").read_text().strip(),
        context=ssl.create_default_context(cafile=str(inside / "ca.crt")),
        token=lambda: (inside / "token").read_text().strip(),  # which the kubelet renews
    )


def from_kubeconfig(document: Mapping[str, Any], folder: Path) -> Access:
    """The cluster of a kubeconfig's current context. folder: where its relative paths begin."""
    context = _named(document, "contexts", document["current-context"])["context"]
    cluster = _named(document, "clusters", context["cluster"])["cluster"]
    user = _named(document, "users", context["user"])["user"] if context.get("user") else {}
    url = str(cluster["server"])
    tls = _tls(cluster, user, folder) if url.startswith("https:") else None
    return Access(url.rstrip("/"), context.get("namespace") or "default", tls, _token(user, folder))


def _named(document: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    for one in document[kind] or ():
        if one["name"] == name:
            found: Mapping[str, Any] = one
            return found
    raise ValueError(f'none of its {kind} is called "{name}"')


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _bytes(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _bytes(user, "client-certificate", folder), _bytes(user, "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:  # which only this user can read
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _bytes(of: Mapping[str, Any], name: str, folder: Path) -> bytes:
    if of.get(f"{name}-data"):
        return base64.b64decode(of[f"{name}-data"])
    return (folder / of[name]).read_bytes() if of.get(name) else b""


def _token(user: Mapping[str, Any], folder: Path) -> Callable[[], str]:
    if user.get("exec"):
        program = user["exec"]
        return lambda: _told(program, folder)
    if user.get("tokenFile"):
        file = folder / user["tokenFile"]
        return lambda: file.read_text().strip()
    token = str(user.get("token") or "")
    return lambda: token


def _told(program: Mapping[str, Any], folder: Path) -> str:
    """What a login program of a cloud answers."""
    asked = {"apiVersion": program["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    env = {**os.environ, **{one["name"]: one["value"] for one in program.get("env") or ()}}
    try:
        done = subprocess.run(
            [program["command"], *(program.get("args") or ())],
            env=env | {"KUBERNETES_EXEC_INFO": json.dumps(asked)},
            cwd=folder,
            capture_output=True,
            timeout=_PROGRAM_S,
            check=True,
        )
        return str(json.loads(done.stdout)["status"]["token"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise FailedPrecondition(f"the login program of the cluster, {program['command']}, failed: {error}") from None
