"""global.customCaCerts of the chart: whom pachd and its workers trust besides those that their image trusts."""

from __future__ import annotations

from typing import Any

import pytest
import test_chart as cases

from trunkline.app.tls.trusted import TRUSTED
from trunkline.cli.chart.values import over
from trunkline.errors import InvalidArgument

_NEW = {"newSecret": {"create": True, "crt": "CERTIFICATE", "key": "KEY"}}
_TRUST: dict[str, Any] = {"global": {"customCaCerts": True}}
TRUSTING: dict[str, dict[str, Any]] = {
    "pachd-tls": over(_TRUST, {"pachd": {"tls": _NEW}}),
    "served": over(_TRUST, {"pachd": {"tls": {"enabled": True, "secretName": "served"}}}),
    "named": over(_TRUST, {"pachd": {"tls": {**_NEW, "secretName": "named"}}}),
    "of-proxy": over(_TRUST, {"proxy": {"tls": {"secretName": "of-proxy"}}}),
}
"""By the name of the Secret with the certificates."""


def variables(values: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cases.pod(over(cases.STORES["url"], values))["containers"][0]["env"]
    return found


@pytest.mark.parametrize("secret", TRUSTING)
def test_certificates_of_the_secret_are_told_and_its_key_is_not(secret: str) -> None:
    told = variables(TRUSTING[secret])
    keys = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in told if "valueFrom" in each}
    taken = [(one["name"], one["key"], one["optional"]) for one in keys.values() if one["name"] == secret]
    assert taken == [(secret, "ca.crt", True), (secret, "tls.crt", True)]
    (whole,) = [number for number, each in enumerate(told) if each["name"] == TRUSTED]
    named = [each["name"] for each in told[:whole] if each["name"] in keys]  # a variable has those before it alone
    assert told[whole]["value"] == "".join(f"$({name})" for name in named if keys[name]["name"] == secret)


def test_the_chart_makes_the_secret_where_pachd_itself_speaks_plaintext() -> None:
    values = over(cases.STORES["url"], TRUSTING["pachd-tls"])
    assert set(cases.one(values, "Secret", "pachd-tls")["data"]) == {"tls.crt", "tls.key"}
    assert "TRUNKLINE_TLS_CERT" not in {each["name"] for each in variables(TRUSTING["pachd-tls"])}
    assert "tls" not in {each["name"] for each in cases.pod(values)["volumes"]}


def test_a_secret_with_another_name_is_made_once() -> None:
    values = over(cases.STORES["url"], over(TRUSTING["named"], {"pachd": {"tls": {"enabled": True}}}))
    made = [each["metadata"]["name"] for each in cases.objects(values) if each["kind"] == "Secret"]
    assert made.count("named") == 1
    assert "pachd-tls" not in made


def test_pachd_may_do_no_more_in_the_cluster() -> None:
    plain, trusting = (over(cases.STORES["url"], more) for more in ({}, TRUSTING["served"]))
    assert cases.one(plain, "Role") == cases.one(trusting, "Role")


def test_without_a_secret_it_is_refused() -> None:
    with pytest.raises(
        InvalidArgument, match=r"global\.customCaCerts is true, and there is no Secret with certificates"
    ):
        cases.objects(over(cases.STORES["url"], _TRUST))
