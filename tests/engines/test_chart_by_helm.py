"""What `pachctl render` prints is what Helm makes of the same chart, for every combination of values; and Helm's lint.

Needs TRUNKLINE_HELM_PYTHON, an interpreter that has Helm as a library. Neither a cluster nor a network.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trunkline.cli.chart.rendered import Cluster, shipped
from trunkline.cli.chart.values import load, over
from trunkline.errors import InvalidArgument

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))
import test_chart as cases
import test_chart_pachyderm as foreign
import test_chart_trusted as trusting

pytestmark = pytest.mark.engines
CHART = shipped()
BEGIN = "import json, sys\nimport helm_python as helm\nfolder, told = sys.argv[1], json.load(sys.stdin)\n"
RENDER = """
def made(values):
    try:
        with helm.Chart.load(folder) as chart:
            return chart.render(values, name="trunkline", namespace="data")
    except helm.HelmError as error:
        return str(error)

json.dump([made(one) for one in told], sys.stdout)
"""
LINT = 'json.dump([helm.lint(folder, one, strict=True, namespace="data") for one in told], sys.stdout)'


def helm(code: str, values: list[dict[str, Any]]) -> list[Any]:
    python = os.environ.get("TRUNKLINE_HELM_PYTHON", "")
    if not python:
        pytest.skip("TRUNKLINE_HELM_PYTHON is not set: make test-engines installs Helm as a library")
    words = [python, "-c", BEGIN + code, str(CHART.folder)]
    done = subprocess.run(words, input=json.dumps(values), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def combinations() -> list[dict[str, Any]]:
    parts = itertools.product(cases.STORES.values(), cases.DATABASES.values(), cases.REST.values())
    return [over(over(store, rows), rest) for store, rows, rest in parts]


def objects(texts: list[str]) -> dict[tuple[str, str], Any]:
    found = [load(part) for text in texts for part in text.split("\n---")]
    return {(one["kind"], one["metadata"]["name"]): one for one in found if one}


def test_helm_makes_the_same_objects_of_all_values() -> None:
    values = combinations()
    account = {"pachd": {"worker": {"serviceAccount": {"create": True, "additionalAnnotations": {"a": "b"}}}}}
    values += [cases.LOCAL, over(over(cases.LOCAL, cases.DATABASES["url"]), account)]
    values.append(over(load(foreign.ON_AMAZON), {"pachd": {"secretsKey": cases.KEY}}))
    values += [foreign.with_settings(*settings) for settings in foreign.UNUSED.values()]
    values += [over(cases.STORES["url"], one) for one in trusting.TRUSTING.values()]
    values += [over(cases.LOCAL, {"global": {"imagePullSecrets": ["one", {"name": "two"}]}})]
    values[0] = over(values[0], {"pachd": {"resources": {"limits": {"cpu": 0.5, "memory": "1Gi"}}}})
    for told, theirs in zip(values, helm(RENDER, values), strict=True):
        assert isinstance(theirs, dict), theirs
        texts = [text for name, text in theirs.items() if name.endswith(".yaml")]
        # Helm as a library believes in a cluster of the version that it was made for.
        ours = CHART.manifests(told, "trunkline", "data", Cluster("v1.36.0"))
        assert objects(ours) == objects(texts)
        assert len(ours) == len(objects(texts))


def test_helm_refuses_what_we_refuse() -> None:
    bad: list[dict[str, Any]] = [
        {},
        {"deployTarget": "LOCAL", "pachd": {"replicas": 2}},
        {"deployTarget": "LOCAL", "global": {"securityContexts": {"enabled": False}}},
        {"deployTarget": "MICROSOFT", "pachd": {"storage": {"microsoft": {"container": "c"}}}},
        over(cases.STORES["url"], {"pachd": {"replicas": 2}}),
        over(cases.STORES["url"], {"pachd": {"replicas": "two"}}),
        over(cases.STORES["url"], {"pachd": {"replica": 2}}),
        over(cases.STORES["url"], {"global": {"postgresql": {"postgresqlHost": "db"}}}),
        over(cases.STORES["url"], {"pachd": {"secretsKey": "short"}}),
        over(cases.STORES["url"], {"pachd": {"tls": {"enabled": True}}}),
        over(cases.STORES["url"], {"pachd": {"tls": {"enabled": True, "newSecret": {"create": True, "crt": "c"}}}}),
        over(cases.STORES["url"], {"global": {"customCaCerts": True}}),
        over(cases.STORES["url"], {"global": {"customCaCerts": "yes"}}),
        *(foreign.with_settings(setting) for setting in foreign.REFUSED),
        foreign.with_settings("pachd.activateAuht=false"),
    ]
    for told, theirs in zip(bad, helm(RENDER, bad), strict=True):
        assert isinstance(theirs, str), told
        with pytest.raises(InvalidArgument) as refusal:
            CHART.manifests(told, "trunkline", "data")
        if "has to be" not in str(refusal.value) and "not known" not in str(refusal.value):  # the schema's own words
            assert str(refusal.value) in theirs


def test_helms_notes_name_what_has_no_effect() -> None:
    values = over(load(foreign.ON_AMAZON), {"pachd": {"secretsKey": cases.KEY}})
    (theirs,) = helm(RENDER, [values])
    (notes,) = [text for name, text in theirs.items() if name.endswith("NOTES.txt")] or [""]
    told = cases.CHART.unused(values)
    assert len(told) > 10
    assert "\n".join(told) in notes


def test_helm_finds_nothing_to_complain_about() -> None:
    values = combinations()[::7]
    for report in helm(LINT, values):
        assert report["errors"] == []
        assert [one["error"] for one in report["messages"]] == ["icon is recommended"]
