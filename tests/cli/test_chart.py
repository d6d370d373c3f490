"""The chart, rendered without Helm: what comes of values, what is refused, and what every container of it may do."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trunkline import __version__
from trunkline.app.config import parse
from trunkline.cli.chart.rendered import Cluster, shipped
from trunkline.cli.chart.values import from_file, load, over, settle
from trunkline.errors import InvalidArgument
from trunkline.fleet.kubernetes.names import labels_of
from trunkline.model.names import Pipeline

CHART = shipped()
KEY = "0f" * 32
STORES: dict[str, dict[str, Any]] = {
    "url": {"pachd": {"storage": {"storageURL": "s3://bucket/path?endpoint=http://store:8333"}}},
    "amazon": {
        "deployTarget": "AMAZON",
        "pachd": {"storage": {"amazon": {"bucket": "b", "id": "i", "secret": "s<&>", "region": "eu-west-1"}}},
    },
    "google": {"deployTarget": "GOOGLE", "pachd": {"storage": {"google": {"bucket": "b", "cred": '{"a": "b"}'}}}},
    "microsoft": {
        "deployTarget": "MICROSOFT",
        "pachd": {"storage": {"microsoft": {"container": "c", "id": "account", "secret": "s"}}},
    },
    "minio": {
        "pachd": {
            "storage": {
                "backend": "MINIO",
                "minio": {"bucket": "b", "endpoint": "store:9000", "id": "i", "secret": "s"},
            }
        }
    },
    "own": {"pachd": {"storage": {"storageURL": "gs://b", "storageSecretName": "mine"}}},
}
LOCAL: dict[str, Any] = {"deployTarget": "LOCAL"}
DATABASES: dict[str, dict[str, Any]] = {
    "file": {},
    "parts": {
        "global": {"postgresql": {"postgresqlHost": "db", "postgresqlPassword": "geheim: é"}},
        "pachd": {"replicas": 3, "secretsKey": KEY},
    },
    "url": {
        "global": {"postgresql": {"url": "postgresql://u:p@db/x?sslmode=require"}},
        "pachd": {"secretsKeySecretName": "my-key"},
    },
    "secret": {
        "global": {
            "postgresql": {"postgresqlHost": "db", "postgresqlPort": "5433", "postgresqlExistingSecretName": "pg"}
        },
        "pachd": {"replicas": 2, "secretsKey": KEY},
    },
}
REST: dict[str, dict[str, Any]] = {
    "plain": {},
    "all": {
        "global": {"imagePullSecrets": [{"name": "one"}, {"name": "two"}], "image": {"registry": "registry.example/"}},
        "pachd": {
            "image": {"tag": "9"},
            "worker": {"image": {"repository": "other/worker", "tag": "8", "pullPolicy": "Always"}},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"x": [1, "2", True]}},
            "annotations": {"a": "true"},
            "podLabels": {"l": "1"},
            "priorityClassName": "high",
            "extraEnv": [{"name": "A", "value": "b c"}],
            "service": {"type": "NodePort", "clusterIP": "10.0.0.9", "labels": {"x": "y"}, "annotations": {"x": "y"}},
            "defaultPipelineCPURequest": "0",
            "defaultSidecarMemoryRequest": "64Mi",
            "workerAddress": "$(PACHD_SERVICE_HOST):30650",
            "trustPods": True,
        },
        "proxy": {"service": {"type": "LoadBalancer", "loadBalancerIP": "10.1.1.1", "httpNodePort": 30080}},
    },
    "none": {
        "global": {"securityContexts": {"enabled": False}},
        "pachd": {
            "serviceAccount": {"create": False, "name": "mine"},
            "rbac": {"create": False},
            "resources": None,
            "defaultSidecarCPURequest": 0,
        },
        "proxy": {"enabled": False},
    },
    "tls": {"pachd": {"tls": {"enabled": True, "newSecret": {"create": True, "crt": "CERTIFICATE\n", "key": "KEY\n"}}}},
    "cert-manager": {
        "pachd": {
            "tls": {"enabled": True, "secretName": "pachd-cert"},
            "workerAddress": "$(PACHD_PEER_SERVICE_HOST):30653",
        },
        "proxy": {"service": {"type": "NodePort", "httpsPort": 8443, "httpsNodePort": 30443}},
    },
}


def combinations() -> Iterator[tuple[str, dict[str, Any]]]:
    rest = itertools.cycle(REST)
    for one, two in itertools.product(STORES, DATABASES):
        three = next(rest)
        yield f"{one}-{two}-{three}", over(over(STORES[one], DATABASES[two]), REST[three])


def objects(values: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [load(text) for text in CHART.manifests(values, "trunkline", "data", **more)]


def one(values: dict[str, Any], kind: str, name: str = "pachd") -> dict[str, Any]:
    (found,) = [each for each in objects(values) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod(values: dict[str, Any]) -> dict[str, Any]:
    (found,) = [each for each in objects(values) if each["kind"] in ("Deployment", "StatefulSet")]
    told: dict[str, Any] = found["spec"]["template"]["spec"]
    return told


def environ(values: dict[str, Any]) -> dict[str, str]:
    """What pachd finds, with what its Secrets hold."""
    found: dict[str, str] = {}
    secrets = {each["metadata"]["name"]: each.get("data") or {} for each in objects(values) if each["kind"] == "Secret"}
    for each in pod(values)["containers"][0]["env"]:
        if "value" in each:
            found[each["name"]] = each["value"]
        elif (told := each["valueFrom"]["secretKeyRef"])["name"] in secrets:
            found[each["name"]] = base64.b64decode(secrets[told["name"]][told["key"]]).decode()
    store = secrets.get("pachyderm-storage-secret", {})
    return found | {name: base64.b64decode(value).decode() for name, value in store.items()}


@pytest.mark.parametrize(("name", "values"), [pytest.param(*each, id=each[0]) for each in combinations()])
def test_whatever_is_chosen_pachd_understands_it_and_may_do_nothing_else(name: str, values: dict[str, Any]) -> None:
    found = objects(values)
    assert all(each["metadata"]["namespace"] == "data" for each in found)
    groups = {"v1", "apps/v1", "rbac.authorization.k8s.io/v1", "policy/v1", "networking.k8s.io/v1"}
    assert {each["apiVersion"] for each in found} <= groups
    told = pod(values)
    assert told["securityContext"]["runAsNonRoot"] is True
    assert told["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & told.keys()
    assert not [each for each in told["volumes"] if "hostPath" in each]
    (container,) = told["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {each["name"] for each in container["volumeMounts"]}
    claims = {each["metadata"]["name"] for each in found[-1]["spec"].get("volumeClaimTemplates", ())}
    assert mounts == {each["name"] for each in told["volumes"]} | claims
    variables = environ(values)
    assert all(isinstance(value, str) for value in variables.values())
    config = parse([], {**variables, "TRUNKLINE_WORKER_ADDRESS": "198.18.0.7:30650"})
    assert config.pods is not None
    assert config.storage.partition("://")[0] in ("s3", "gs", "az")
    assert bool(config.database) == ("file" not in name.split("-")[1])
    assert bool(config.tls) == (name.split("-")[2] in ("tls", "cert"))
    assert str(config.data) == "/data"


def test_where_bytes_lie_and_with_which_keys() -> None:
    told = {name: environ(values) for name, values in STORES.items()}
    assert {name: each["TRUNKLINE_STORAGE"] for name, each in told.items()} == {
        "url": "s3://bucket/path?endpoint=http://store:8333",
        "amazon": "s3://b?region=eu-west-1",
        "google": "gs://b",
        "microsoft": "az://c?account=account",
        "minio": "s3://b?endpoint=http://store:9000",
        "own": "gs://b",
    }
    assert told["amazon"]["AWS_SECRET_ACCESS_KEY"] == "s<&>"
    assert told["google"]["GOOGLE_SERVICE_ACCOUNT_KEY"] == '{"a": "b"}'
    assert told["microsoft"]["AZURE_STORAGE_ACCOUNT_KEY"] == "s"
    assert told["minio"]["AWS_ACCESS_KEY_ID"] == "i"
    assert pod(STORES["own"])["containers"][0]["envFrom"] == [{"secretRef": {"name": "mine"}}]


@pytest.mark.parametrize("database", ["file", "secret"])
def test_bytes_lie_on_the_volume_of_the_only_pachd(database: str) -> None:
    values = over(over(DATABASES[database], LOCAL), {"pachd": {"replicas": 1}})
    told = environ(values)
    config = parse([], told)
    assert config.pods is not None
    assert (config.pods.claim, config.storage, config.blobs) == ("data-pachd-0", "", "/data/blobs")
    found = one(values, "StatefulSet")["spec"]
    (claim,) = found["volumeClaimTemplates"]
    assert (claim["metadata"]["name"], claim["spec"]["accessModes"]) == ("data", ["ReadWriteOnce"])
    assert [each["name"] for each in pod(values)["volumes"] if each["name"] == "data"] == []
    assert pod(values)["securityContext"]["runAsUser"] == 1000  # as workers do, who share it
    assert "strategy" not in found


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (DATABASES["secret"], "pachd.replicas is 2, and with LOCAL the bytes of files lie on the volume of one pachd"),
        ({"global": {"securityContexts": {"enabled": False}}}, "with LOCAL workers have to be the user that pachd is"),
    ],
)
def test_a_volume_that_workers_could_not_share_is_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        objects(over(LOCAL, more))
    assert objects(over(over(LOCAL, more), STORES["url"]))


def test_workers_have_an_account_where_a_cloud_gives_rights_by_it() -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}
    account = {"create": True, "additionalAnnotations": role}
    made = over(STORES["url"], {"pachd": {"worker": {"serviceAccount": account}}})
    assert one(made, "ServiceAccount", "pachyderm-worker")["metadata"]["annotations"] == role
    assert environ(made)["TRUNKLINE_WORKER_ACCOUNT"] == "pachyderm-worker"
    mine = over(STORES["url"], {"pachd": {"worker": {"serviceAccount": {"name": "mine"}}}})
    assert environ(mine)["TRUNKLINE_WORKER_ACCOUNT"] == "mine"
    assert [each["metadata"]["name"] for each in objects(mine) if each["kind"] == "ServiceAccount"] == ["pachd"]
    assert "TRUNKLINE_WORKER_ACCOUNT" not in environ(STORES["url"])


def test_rows_lie_in_postgresql_or_on_a_volume() -> None:
    values = over(STORES["url"], DATABASES["parts"])
    told = environ(values)
    assert told["TRUNKLINE_DATABASE"] == "postgresql://pachyderm@db:5432/pachyderm?sslmode=prefer"
    assert told["PGPASSWORD"] == "geheim: é"
    assert told["TRUNKLINE_SECRETS_KEY"] == "/keys/secrets.key"
    assert one(values, "Deployment")["spec"]["replicas"] == 3
    kept = one(STORES["url"], "StatefulSet")["spec"]
    assert kept["volumeClaimTemplates"][0]["spec"]["resources"] == {"requests": {"storage": "10Gi"}}
    assert "TRUNKLINE_DATABASE" not in environ(STORES["url"])
    assert "geheim" not in json.dumps(pod(values))


def test_tls_is_for_clients_and_plaintext_for_workers_alone() -> None:
    values = over(STORES["url"], REST["tls"])
    config = parse([], environ(values))
    assert config.pods is not None
    assert (config.tls, config.peer, config.pods.address) == (
        (Path("/pachd-tls-cert/tls.crt"), Path("/pachd-tls-cert/tls.key")),
        ("0.0.0.0", 30653),
        "pachd-peer.data.svc:30653",
    )
    secret = one(values, "Secret", "pachd-tls")
    assert secret["type"] == "kubernetes.io/tls"
    assert {name: base64.b64decode(each) for name, each in secret["data"].items()} == {
        "tls.crt": b"CERTIFICATE\n",
        "tls.key": b"KEY\n",
    }
    (container,) = pod(values)["containers"]
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [(each["port"], each["scheme"]) for each in probes] == [("api", "HTTPS")] * 3
    services = {each["metadata"]["name"]: each["spec"] for each in objects(values) if each["kind"] == "Service"}
    assert services["pachd-peer"]["type"] == "ClusterIP"
    ports = {(name, each["targetPort"]) for name, spec in services.items() for each in spec["ports"]}
    assert ports == {("pachd", "api"), ("pachd", "s3"), ("pachyderm-proxy", "api"), ("pachd-peer", "peer")}
    assert [(each["name"], each["port"]) for each in services["pachyderm-proxy"]["ports"]] == [("https-port", 443)]
    assert not [each for each in objects(values) if each["kind"] == "NetworkPolicy"]


def test_a_policy_that_is_asked_for_keeps_others_from_the_port_of_workers() -> None:
    values = over(over(STORES["url"], REST["tls"]), {"pachd": {"tls": {"networkPolicy": True}}})
    everybody, workers = one(values, "NetworkPolicy")["spec"]["ingress"]
    assert "from" not in everybody
    assert [each["port"] for each in everybody["ports"]] == ["api", "s3"]
    told = labels_of("s", Pipeline("default", "p"), 1)
    (allowed,) = workers["from"]
    assert allowed["podSelector"]["matchLabels"].items() <= told.items()
    assert [each["port"] for each in workers["ports"]] == ["peer"]


def test_a_secret_of_ones_own_has_the_certificate_of_postgresql() -> None:
    given = {"global": {"postgresql": {"postgresqlSSLCACert": "CERTIFICATE", "postgresqlSSLSecret": "mine"}}}
    values = over(over(STORES["url"], DATABASES["parts"]), given)
    (told,) = [each for each in pod(values)["volumes"] if each["name"] == "postgres-ca"]
    assert (told["secret"]["secretName"], told["secret"]["items"][0]["key"]) == ("mine", "root.crt")
    assert environ(values)["PGSSLROOTCERT"] == "/postgres-ca/root.crt"
    assert "root.crt" not in one(values, "Secret", "postgres")["data"]


def test_a_secret_of_ones_own_has_the_certificate() -> None:
    values = over(STORES["url"], REST["cert-manager"])
    assert "pachd-tls" not in [each["metadata"]["name"] for each in objects(values)]
    (told,) = [each for each in pod(values)["volumes"] if each["name"] == "tls"]
    assert told["secret"]["secretName"] == "pachd-cert"
    (port,) = one(values, "Service", "pachyderm-proxy")["spec"]["ports"]
    assert (port["port"], port["nodePort"]) == (8443, 30443)


def test_without_tls_nothing_of_it_is_there() -> None:
    found = objects(STORES["url"])
    assert not {"NetworkPolicy"} & {each["kind"] for each in found}
    assert "tls" not in json.dumps(found)
    assert "peer" not in json.dumps(found)


@pytest.mark.parametrize(
    ("tls", "why"),
    [
        ({}, "pachd.tls.enabled or proxy.tls.enabled is true, and there is no certificate: name a Secret"),
        ({"newSecret": {"create": True, "key": "k"}}, "pachd.tls.newSecret.crt is missing"),
        ({"newSecret": {"create": True, "crt": "c"}}, "pachd.tls.newSecret.key is missing"),
    ],
)
def test_tls_needs_a_certificate(tls: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        objects(over(STORES["url"], {"pachd": {"tls": {"enabled": True, **tls}}}))


@pytest.mark.parametrize(("said", "cpu"), [("0", "0"), ("", "1"), ("500m", "500m"), ("null", "1"), ("2", "2")])
def test_nothing_can_be_asked_for(said: str, cpu: str) -> None:
    values = over(STORES["url"], {})
    settle([f"pachd.defaultPipelineCPURequest={said}"], values)
    assert environ(values)["TRUNKLINE_PIPELINE_REQUESTS"] == f"cpu={cpu},memory=256Mi,disk=1Gi"


def test_budgets_are_there_for_several_where_the_cluster_has_them() -> None:
    values = over(STORES["url"], DATABASES["parts"])
    for cluster, there in (
        (Cluster(), True),
        (Cluster("v1.20.2"), False),
        (Cluster("v1.25.0", frozenset()), False),
    ):
        kinds = [each["kind"] for each in objects(values, cluster=cluster)]
        assert ("PodDisruptionBudget" in kinds) == there
    assert "PodDisruptionBudget" not in [each["kind"] for each in objects(STORES["url"])]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("pachd.replica=2", "the value pachd.replica is not known; did you mean pachd.replicas?"),
        ("mongo.size=1", "the value mongo is not known; docs/chart.md lists all values"),
        ("pachd.replicas=two", 'the value pachd.replicas is "two", and has to be of type integer'),
        ("pachd.replicas=-1", "the value pachd.replicas is -1, and has to be at least 0"),
        ("pachd.replicas=true", "the value pachd.replicas is true, and has to be of type integer"),
        ("pachd.logLevel=loud", 'is "loud", and has to be one of debug, info, warning, error'),
        ("pachd.replicas=2", "pachd.replicas is 2, and one pachd only can keep its rows in a file"),
        ("global.postgresql.postgresqlHost=db", "pachd.secretsKey is missing"),
        ("pachd.secretsKey=abc", "pachd.secretsKey is something else, and has to be 64 hexadecimal digits"),
        ("pachd.storage.storageURL=file:///x", "has to be the URL of an object store"),
        ("pachd.tolerations=x", 'the value pachd.tolerations is "x", and has to be of type array'),
        ("global.imagePullSecrets[0].nam=x", "the value global.imagePullSecrets[0] has no name"),
        ("pachd", '--set "pachd" says no value'),
        ("a..b=c", '--set "a..b=c" names no value'),
    ],
)
def test_what_is_mistyped_is_refused_in_words(setting: str, why: str) -> None:
    def told() -> None:
        values = over(STORES["url"], {})
        settle([setting], values)
        objects(values)

    with pytest.raises(InvalidArgument) as refusal:
        told()
    assert why in str(refusal.value)


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        ("AMAZON", "amazon.bucket"),
        ("GOOGLE", "google.bucket"),
        ("MICROSOFT", "microsoft.container"),
        ("", "storageURL"),
    ],
)
def test_what_is_missing_is_asked_for(target: str, missing: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"pachd.storage.{missing}"):
        objects({"deployTarget": target})


def test_settings_are_written_as_for_helm() -> None:
    values: dict[str, Any] = {"a": {"b": 1}, "l": ["x"]}
    settle(["a.c=2,a.d=x y", r"a.e\.f=1\,2", "l[2].n=true", "n=null", "m={1,two}", "s=007", "e="], values)
    settle(["a.c=2"], values, texts=True)
    assert values == {
        "a": {"b": 1, "c": "2", "d": "x y", "e.f": "1,2"},
        "l": ["x", None, {"n": True}],
        "n": None,
        "m": [1, "two"],
        "s": "007",
        "e": "",
    }


@pytest.mark.parametrize(("text", "why"), [("a: [", "is no YAML"), ("- a", "at its top there has to be a map")])
def test_files_that_are_no_values_are_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        from_file("v.yaml", text)


def test_the_chart_is_of_this_release() -> None:
    assert (CHART.about["version"], CHART.about["appVersion"]) == (__version__, __version__)
