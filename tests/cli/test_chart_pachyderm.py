"""Files of values that were written for Pachyderm's chart: what applies does, and all else is answered in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trunkline.app.config import parse
from trunkline.app.pods.side import store_keys
from trunkline.cli.chart.values import from_file, load, over, settle
from trunkline.cli.entry import root
from trunkline.errors import InvalidArgument

sys.path.insert(0, str(Path(__file__).parent))
import test_chart as cases

TABLE = load((cases.CHART.folder / "pachyderm.yaml").read_text())
FOREIGN = {each["name"] for part in TABLE.values() for each in part}
APPLIED = {
    "deployTarget": "CUSTOM",
    "global.imagePullSecrets[0]": "registry",
    "global.image.registry": "registry.example",
    "global.proxy": "http://proxy.example:3128",
    "global.noProxy": "intern.example",
    "global.securityContexts.enabled": "false",
    "global.customCaCerts": "true",
    "global.postgresql.postgresqlDatabase": "d",
    "global.postgresql.postgresqlUsername": "u",
    "global.postgresql.postgresqlPassword": "p",
    "global.postgresql.postgresqlExistingSecretName": "s",
    "global.postgresql.postgresqlExistingSecretKey": "k",
    "global.postgresql.postgresqlPort": "5433",
    "global.postgresql.postgresqlSSL": "require",
    "global.postgresql.postgresqlSSLCACert": "CERTIFICATE",
    "global.postgresql.postgresqlSSLSecret": "s",
    "pachd.replicas": "1",
    "pachd.logLevel": "debug",
    "pachd.resources.limits.cpu": "2",
    "pachd.nodeSelector.a": "b",
    "pachd.tolerations[0].key": "k",
    "pachd.affinity.nodeAffinity.x": "y",
    "pachd.priorityClassName": "high",
    "pachd.tls.enabled": "false",
    "pachd.tls.secretName": "s",
    "pachd.tls.newSecret.create": "false",
    "pachd.defaultPipelineCPURequest": "2",
    "pachd.defaultPipelineMemoryRequest": "2Gi",
    "pachd.defaultPipelineStorageRequest": "2Gi",
    "pachd.defaultSidecarCPURequest": "2",
    "pachd.defaultSidecarMemoryRequest": "2Gi",
    "pachd.defaultSidecarStorageRequest": "2Gi",
    "pachd.worker.image.repository": "r",
    "pachd.worker.serviceAccount.name": "w",
    "pachd.serviceAccount.create": "false",
    "pachd.rbac.create": "false",
    "pachd.storage.backend": "AMAZON",
    "pachd.storage.storageURL": "s3://b",
    "pachd.storage.diskCacheSize": "200",
    "pachd.storage.memoryCacheSize": "20",
    "pachd.storage.amazon.bucket": "b",
    "pachd.storage.amazon.region": "r",
    "pachd.storage.amazon.customEndpoint": "http://store",
    "pachd.storage.google.bucket": "b",
    "pachd.storage.microsoft.container": "c",
    "pachd.storage.minio.endpoint": "store:9000",
    "pachd.storage.minio.secure": "true",
    "proxy.enabled": "true",
    "proxy.service.type": "LoadBalancer",
    "proxy.service.httpPort": "81",
    "proxy.service.httpsPort": "444",
    "proxy.tls.enabled": "false",
    "proxy.tls.secretName": "s",
}
"""Settings that the chart has under Pachyderm's name."""

UNUSED = {
    "console": ("console.enabled=false", "console.config.reactAppRuntimeIssuerURI=x", "console.service.type=ClusterIP"),
    "etcd": ("etcd.storageSize=10Gi", "etcd.dynamicNodes=1", "etcd.maxTxnOps=10000"),
    "postgresql": ("postgresql.enabled=false", "postgresql.persistence.size=10Gi"),
    "pgbouncer": ("pgbouncer.maxConnections=100000", "pgbouncer.defaultPoolSize=80"),
    "loki-stack": ("loki-stack.loki.persistence.size=10Gi",),
    "kubeEventTail": ("kubeEventTail.enabled=true",),
    "pachw": ("pachw.inheritFromPachd=false", "pachw.inSidecars=true", "pachw.minReplicas=1", "pachw.maxReplicas=9"),
    "oidc": ("oidc.mockIDP=true", "oidc.issuerURI=x", "oidc.requireVerifiedEmail=false", "oidc.IDTokenExpiry=24h"),
    "enterpriseServer": ("enterpriseServer.enabled=false",),
    "ingress": ("ingress.enabled=false", "ingress.host=x"),
    "cloudsqlAuthProxy": ("cloudsqlAuthProxy.enabled=false",),
    "determined": ("determined.enabled=false",),
    "testConnection": ("testConnection.image.tag=1",),
    "preflightCheckJob": ("preflightCheckJob.enabled=false",),
    "pachd.activateAuth": ("pachd.activateAuth=false",),
    "pachd.activateEnterpriseMember": ("pachd.activateEnterpriseMember=false",),
    "pachd.enterpriseSecret": ("pachd.enterpriseSecret=x",),
    "pachd.enterpriseCallbackAddress": ("pachd.enterpriseCallbackAddress=x",),
    "pachd.oauthClientID": ("pachd.oauthClientID=x",),
    "pachd.oauthClientSecret": ("pachd.oauthClientSecret=x",),
    "pachd.oauthRedirectURI": ("pachd.oauthRedirectURI=x",),
    "pachd.lokiDeploy": ("pachd.lokiDeploy=true",),
    "pachd.lokiLogging": ("pachd.lokiLogging=true",),
    "pachd.lokiHost": ("pachd.lokiHost=x",),
    "pachd.lokiPort": ("pachd.lokiPort=3100",),
    "pachd.metrics": ("pachd.metrics.enabled=false",),
    "pachd.preflightChecks": ("pachd.preflightChecks=true",),
    "pachd.probes": ("pachd.probes.liveness.periodSeconds=3",),
    "pachd.ppsWorkerGRPCPort": ("pachd.ppsWorkerGRPCPort=1080",),
    "pachd.storageGCPeriod": ("pachd.storageGCPeriod=60",),
    "pachd.storageChunkGCPeriod": ("pachd.storageChunkGCPeriod=60",),
    "pachd.storage.gocdkEnabled": ("pachd.storage.gocdkEnabled=true",),
    "pachd.storage.putFileConcurrencyLimit": ("pachd.storage.putFileConcurrencyLimit=100",),
    "pachd.storage.uploadConcurrencyLimit": ("pachd.storage.uploadConcurrencyLimit=100",),
    "pachd.storage.compactionShardSizeThreshold": ("pachd.storage.compactionShardSizeThreshold=9",),
    "pachd.storage.compactionShardCountThreshold": ("pachd.storage.compactionShardCountThreshold=9",),
    "pachd.storage.memoryThreshold": ("pachd.storage.memoryThreshold=9",),
    "pachd.storage.levelFactor": ("pachd.storage.levelFactor=9",),
    "pachd.storage.maxFanIn": ("pachd.storage.maxFanIn=9",),
    "pachd.storage.maxOpenFileSets": ("pachd.storage.maxOpenFileSets=9",),
    "pachd.storage.amazon.partSize": ("pachd.storage.amazon.partSize=5242880",),
    "pachd.storage.amazon.maxUploadParts": ("pachd.storage.amazon.maxUploadParts=10000",),
    "pachd.storage.amazon.retries": ("pachd.storage.amazon.retries=10",),
    "pachd.storage.amazon.timeout": ("pachd.storage.amazon.timeout=5m",),
    "pachd.storage.amazon.uploadACL": ("pachd.storage.amazon.uploadACL=bucket-owner-full-control",),
    "proxy.host": ("proxy.host=data.example",),
    "proxy.replicas": ("proxy.replicas=2",),
    "proxy.service.legacyPorts": ("proxy.service.legacyPorts.grpc=30650",),
}
"""What is told of, and settings that it is told of."""

REFUSED = {
    "console.enabled=true": "there is no console; set it to false",
    "postgresql.enabled=true": "brings no PostgreSQL; set it to false, and name yours in global.postgresql",
    "enterpriseServer.enabled=true": "there is no enterprise server",
    "ingress.enabled=true": "set it to false, and have proxy.service.type be LoadBalancer",
    "cloudsqlAuthProxy.enabled=true": "name its Service in global.postgresql.postgresqlHost",
    "determined.enabled=true": "install it by its own chart",
    "preflightCheckJob.enabled=true": "try an upgrade on a copy",
    "oidc.upstreamIDPs[0].id=x": "there is no authentication yet",
    "oidc.upstreamIDPsSecretName=x": "there is no authentication yet",
    "pachd.activateAuth=true": "there is no authentication yet",
    "pachd.activateEnterpriseMember=true": "there is no enterprise server",
    "pachd.enterpriseLicenseKey=x": "nothing needs a licence",
    "pachd.enterpriseLicenseKeySecretName=x": "nothing needs a licence",
    "pachd.rootToken=x": "no token is asked for",
    "pachd.rootTokenSecretName=x": "no token is asked for",
    "pachd.pachAuthClusterRoleBindings.robot:x[0]=clusterAdmin": "whoever reaches pachd may do everything",
    "pachd.enterpriseServerAddress=x": "there is no enterprise server",
    "pachd.enterpriseServerToken=x": "there is no enterprise server",
    "pachd.enterpriseServerTokenSecretName=x": "there is no enterprise server",
    "pachd.storageGCPeriod=-1": "cannot be switched off",
    "pachd.storageChunkGCPeriod=-1": "cannot be switched off",
    "pachd.image.repository=pachyderm/pachd": "has no Trunkline",
    "pachd.worker.image.repository=docker.io/pachyderm/worker": "has no Trunkline",
    "pachd.storage.local.hostPath=/var/pachyderm": "say pachd.persistence.size",
    "pachd.storage.amazon.disableSSL=true": "write http:// before",
    "pachd.storage.amazon.noVerifySSL=true": "certificates are always checked",
    "pachd.storage.amazon.uploadACL=public-read": "say in the bucket's policy",
}

ON_AMAZON = """
deployTarget: AMAZON
proxy:
  enabled: true
  host: data.example.com
  service: {type: LoadBalancer, httpsPort: 443}
  tls: {enabled: true, secretName: data-example-com}
pachd:
  logLevel: info
  image: {tag: ""}
  activateAuth: false
  lokiDeploy: true
  lokiLogging: true
  metrics: {enabled: false}
  resources: {requests: {cpu: "2", memory: 8Gi}, limits: {memory: 8Gi}}
  serviceAccount:
    additionalAnnotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::123456789012:role/data"}
  worker:
    serviceAccount:
      create: true
      additionalAnnotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::123456789012:role/data"}
  storageGCPeriod: 0
  storage:
    gocdkEnabled: false
    putFileConcurrencyLimit: 100
    diskCacheSize: 1000
    memoryCacheSize: 100
    amazon: {bucket: data-example, region: eu-central-1, id: "", secret: "", uploadACL: bucket-owner-full-control}
global:
  imagePullSecrets: [registry]
  proxy: http://proxy.example.com:3128
  noProxy: .example.com
  postgresql:
    postgresqlHost: db.example.com
    postgresqlPort: "5432"
    postgresqlUsername: pachyderm
    postgresqlPassword: geheim
    postgresqlSSL: verify-full
    postgresqlSSLCACert: |
      -----BEGIN CERTIFICATE-----
      -----END CERTIFICATE-----
    identityDatabaseFullNameOverride: dex
postgresql: {enabled: false}
console: {enabled: false}
etcd: {storageSize: 10Gi}
pgbouncer: {maxConnections: 100000}
kubeEventTail: {enabled: true}
loki-stack: {loki: {persistence: {size: 10Gi}}}
pachw: {minReplicas: 1, maxReplicas: 4}
"""
"""A cluster on Amazon's with the rows in a server of its own, as a user of Pachyderm has it in a file."""


def with_settings(*settings: str) -> dict[str, Any]:
    values: dict[str, Any] = over(cases.STORES["url"], {})
    settle(settings, values)
    return values


def without_sum(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the annotation by which pods are replaced, which knows all of pachd.storage."""
    for one in objects:
        if one["kind"] == "StatefulSet":
            del one["spec"]["template"]["metadata"]["annotations"]["trunkline/told"]
    return objects


@pytest.mark.parametrize("name", APPLIED)
def test_what_applies_is_taken_under_its_name(name: str) -> None:
    base = over(cases.STORES["url"], {})
    if name.startswith("pachd.storage."):
        backend = {"google": "GOOGLE", "microsoft": "MICROSOFT", "minio": "MINIO"}.get(name.split(".")[2], "AMAZON")
        whole = {
            "amazon": {"bucket": "x"},
            "google": {"bucket": "x"},
            "microsoft": {"container": "x", "id": "a"},
            "minio": {"bucket": "x", "endpoint": "x:1", "id": "i", "secret": "s"},
        }
        base = {"deployTarget": backend, "pachd": {"storage": whole}}
    if name.startswith("global.postgresql."):
        base = over(base, cases.DATABASES["parts"] if "Existing" not in name else cases.DATABASES["secret"])
    if name == "global.noProxy":
        settle(["global.proxy=http://p:1"], base)
    if name.startswith("pachd.tls.newSecret"):
        settle(["pachd.tls.enabled=true", "pachd.tls.secretName=s"], base)
    if name == "global.customCaCerts":
        settle(["pachd.tls.secretName=s"], base)
    values = over(base, {})
    settle([f"{name}={APPLIED[name]}"], values)
    cases.objects(values)  # nothing of it is refused
    assert cases.CHART.unused(values) == []


@pytest.mark.parametrize("name", UNUSED)
def test_what_has_no_effect_is_accepted_and_told(name: str) -> None:
    plain = without_sum(cases.objects(cases.STORES["url"]))
    for setting in UNUSED[name]:
        values = with_settings(setting)
        (line,) = cases.CHART.unused(values)
        assert line.startswith(f"{name} has no effect: ")
        assert without_sum(cases.objects(values)) == plain


@pytest.mark.parametrize("setting", REFUSED)
def test_what_would_be_another_cluster_is_refused_with_what_to_do(setting: str) -> None:
    name = setting.partition("[")[0].partition("=")[0].removesuffix(".robot:x")
    with pytest.raises(InvalidArgument, match=rf"the value {name} cannot be kept: ") as refusal:
        cases.objects(with_settings(setting))
    assert REFUSED[setting] in str(refusal.value)


def test_every_refusal_is_tried_and_every_name_of_the_table_is_in_the_schema() -> None:
    tried = {each.partition("[")[0].partition("=")[0].removesuffix(".robot:x") for each in REFUSED}
    assert tried == {each["name"] for each in TABLE["refused"]}
    free = {"console", "enterpriseServer", "ingress", "cloudsqlAuthProxy", "determined", "preflightCheckJob", "oidc"}
    for name in FOREIGN:
        schema = cases.CHART.schema
        for step in name.split("."):
            assert step in schema["properties"] or name.split(".")[0] in free, name
            schema = schema["properties"].get(step, {"properties": {}})


def test_an_empty_value_of_pachyderms_is_nothing_to_tell() -> None:
    values = with_settings("pachd.rootToken=", "pachd.enterpriseLicenseKey=", "pachd.storage.local.hostPath=")
    assert cases.CHART.unused(over(values, {"oidc": {"upstreamIDPs": []}})) == [
        "oidc has no effect: there is no authentication yet",
        "pachd.storage.local has no effect: with LOCAL the bytes of files lie on the volume of pachd.persistence",
    ]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("pachd.activateAuht=false", "the value pachd.activateAuht is not known; did you mean pachd.activateAuth?"),
        ("pachd.enabled=false", "the value pachd.enabled is false, and has to be one of true"),
        ("pachd.storage.minio.secure=maybe", 'is "maybe", and has to be one of true'),
        ("global.proxy=proxy:3128", "has to be the URL of a proxy"),
    ],
)
def test_what_is_mistyped_is_refused_with_its_path(setting: str, why: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        cases.objects(with_settings(setting))
    assert why in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "memory", "disk"),
    [
        ([], "64Mi", "2Gi"),
        (["pachd.storage.memoryCacheSize=100", "pachd.storage.diskCacheSize=1000"], "800Mi", "8000Mi"),
        (["pachd.storage.memoryCacheSize=100", "pachd.cacheBytes=1Gi", "pachd.indexCacheBytes=3Gi"], "1Gi", "3Gi"),
    ],
)
def test_caches_are_as_large_as_is_said_in_chunks(settings: list[str], memory: str, disk: str) -> None:
    told = cases.environ(with_settings(*settings))
    assert (told["TRUNKLINE_CACHE_BYTES"], told["TRUNKLINE_INDEX_CACHE_BYTES"]) == (memory, disk)


def test_a_users_file_for_amazon_with_a_database_of_their_own_is_rendered(tmp_path: Path) -> None:
    values = over(from_file("v.yaml", ON_AMAZON), {"pachd": {"secretsKey": cases.KEY}})
    told = cases.environ(values)
    assert parse([], told).pods is not None
    assert told["TRUNKLINE_STORAGE"] == "s3://data-example?region=eu-central-1"
    assert told["TRUNKLINE_DATABASE"] == "postgresql://pachyderm@db.example.com:5432/pachyderm?sslmode=verify-full"
    assert (told["PGPASSWORD"], told["PGSSLROOTCERT"]) == ("geheim", "/postgres-ca/root.crt")
    assert told["https_proxy"] == told["HTTP_PROXY"] == "http://proxy.example.com:3128"
    assert told["no_proxy"].startswith(".example.com,localhost,127.0.0.1,.svc,")
    assert (told["TRUNKLINE_CACHE_BYTES"], told["TRUNKLINE_INDEX_CACHE_BYTES"]) == ("800Mi", "8000Mi")
    assert told["TRUNKLINE_TLS_CERT"] == "/pachd-tls-cert/tls.crt"
    volumes = {each["name"]: each for each in cases.pod(values)["volumes"]}
    assert volumes["tls"]["secret"]["secretName"] == "data-example-com"
    assert volumes["postgres-ca"]["secret"]["items"] == [{"key": "root.crt", "path": "root.crt"}]
    assert cases.pod(values)["imagePullSecrets"] == [{"name": "registry"}]
    assert told["TRUNKLINE_WORKER_PULL_SECRETS"] == "registry"
    file = tmp_path / "v.yaml"
    file.write_text(ON_AMAZON)
    done = CliRunner().invoke(
        root(), ["render", "-n", "data", "-f", str(file), "--set", f"pachd.secretsKey={cases.KEY}"]
    )
    assert done.exit_code == 0, done.output
    comments, _, manifests = done.output.partition("---\n")
    assert "# console has no effect: there is no console\n" in comments
    assert "# etcd has no effect: " in comments
    assert all(line.startswith("# ") for line in comments.splitlines())
    assert [load(each) for each in manifests.split("---\n")] == cases.objects(values)


def test_a_users_file_without_the_key_of_secrets_is_told_how_to_draw_one() -> None:
    with pytest.raises(InvalidArgument, match=r"pachd.secretsKey is missing: .*openssl rand -hex 32"):
        cases.objects(from_file("v.yaml", ON_AMAZON))


def test_workers_reach_the_store_by_the_proxy_too() -> None:
    environ = {"https_proxy": "http://p:1", "NO_PROXY": ".svc", "AWS_REGION": "eu", "HTTP_X": "y"}
    assert store_keys(environ, "s3://b") == {"https_proxy": "http://p:1", "NO_PROXY": ".svc", "AWS_REGION": "eu"}


def test_every_value_has_a_type_and_every_type_a_value() -> None:
    def names(values: Any, schema: Any, at: str) -> Iterator[str]:
        if "properties" in schema and at != "pachd.resources.":
            assert schema["additionalProperties"] is False
            foreign = {each.removeprefix(at).partition(".")[0] for each in FOREIGN if each.startswith(at)}
            assert values.keys() <= schema["properties"].keys() <= values.keys() | foreign, at
            for name, each in values.items():
                yield from names(each, schema["properties"][name], f"{at}{name}.")
        else:
            yield at

    assert len(list(names(cases.CHART.defaults, cases.CHART.schema, ""))) > 60
