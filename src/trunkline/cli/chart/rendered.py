"""The chart that comes with us, and its manifests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

import trunkline
from trunkline.cli.chart.rendering import Templates
from trunkline.cli.chart.values import Values, check, load, over
from trunkline.errors import FailedPrecondition, InvalidArgument

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?\Z")
_VERSION = re.compile(r"v?[0-9]+\.[0-9]+(\.[0-9]+)?([-+].*)?\Z")
_ORDER = ("ServiceAccount", "Secret", "Role", "RoleBinding", "Service", "Deployment", "StatefulSet")
"""What others need comes first, as Helm installs them; anything else is before all of these."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known of the cluster: its version, and the groups of its API, beside those that every version has."""

    version: str = "v1.30.0"
    apis: frozenset[str] = frozenset({"policy/v1"})


@dataclass(frozen=True, slots=True)
class _Apis:
    names: frozenset[str]

    def Has(self, name: str) -> bool:
        """Whether the cluster has such an API; called so by templates."""
        return name in self.names


@dataclass(frozen=True, slots=True)
class _Files:
    folder: Path

    def Get(self, name: str) -> str:
        """What such a file of the chart says; called so by templates."""
        return (self.folder / name).read_text()


class Chart:
    """A chart's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """Chart.yaml."""
        found: Mapping[str, Any] = load((self.folder / "Chart.yaml").read_text())
        return found

    @cached_property
    def defaults(self) -> Values:
        """values.yaml."""
        found: Values = load((self.folder / "values.yaml").read_text())
        return found

    @cached_property
    def schema(self) -> Mapping[str, Any]:
        """values.schema.json."""
        found: Mapping[str, Any] = json.loads((self.folder / "values.schema.json").read_text())
        return found

    def manifests(self, given: Values, name: str, namespace: str, cluster: Cluster | None = None) -> list[str]:
        """Each object as a document of YAML. Raises InvalidArgument for values that are unknown or do not fit."""
        dot = self._dot(given, name, namespace, cluster or Cluster())
        found = []
        for file in self._templates.bodies:
            if file.endswith(".yaml"):
                found += _documents(file, self._templates.render(file, dot))
        return [text for _, text in sorted(found, key=lambda one: one[0])]

    def unused(self, given: Values) -> list[str]:
        """A sentence for each value that is known, was given, and has no effect. Raises InvalidArgument."""
        dot = self._dot(given, "trunkline", "default", Cluster())
        return self._templates.include("trunkline.unused", dot).split("\n")[1:]

    @cached_property
    def _templates(self) -> Templates:
        folder = self.folder / "templates"
        return Templates({file.name: file.read_text() for file in sorted(folder.iterdir())})

    def _dot(self, given: Values, name: str, namespace: str, cluster: Cluster) -> Mapping[str, Any]:
        """What templates are given."""
        _must_fit(name, namespace, cluster.version)
        values = over(self.defaults, given)
        check(values, self.schema)
        return {
            "Values": values,
            "Release": {"Name": name, "Namespace": namespace, "Service": "Helm", "IsInstall": True, "Revision": 1},
            "Chart": {key[0].upper() + key[1:]: value for key, value in self.about.items()},
            "Files": _Files(self.folder),
            "Capabilities": {"APIVersions": _Apis(cluster.apis), "KubeVersion": {"Version": cluster.version}},
        }


def shipped() -> Chart:
    """The chart of this release. Raises FailedPrecondition where it was taken out."""
    package = Path(trunkline.__file__).parent
    for folder in (package / "chart", package.parents[1] / "deploy" / "helm" / "trunkline"):
        if (folder / "Chart.yaml").exists():
            return Chart(folder)
    raise FailedPrecondition(f"the chart is missing: there is no {package / 'chart'}; install trunkline anew")


def _must_fit(name: str, namespace: str, version: str) -> None:
    for what, text in (("--name", name), ("--namespace", namespace)):
        if not _NAME.match(text):
            raise InvalidArgument(f'{what} "{text}" is no name that Kubernetes takes: small letters, digits and dashes')
    if not _VERSION.match(version):
        raise InvalidArgument(f'--kube-version "{version}" is no version; write it as 1.30 or v1.20.2')


def _documents(file: str, text: str) -> list[tuple[int, str]]:
    """The objects in a file, each with its place in the order."""
    found = []
    for part in re.split(r"^---\s*$", text, flags=re.MULTILINE):
        try:
            one = load(part)
        except yaml.YAMLError as error:
            raise InvalidArgument(f"with these values {file} is no YAML: {' '.join(str(error).split())}") from None
        if one:
            order = _ORDER.index(one["kind"]) if one["kind"] in _ORDER else -1
            found.append((order, f"---\n# {file}\n{part.strip()}\n"))
    return found
