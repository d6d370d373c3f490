"""A real pachd that speaks TLS: its clients, its workers, the code that they run, and what it hands out."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import boto3
import grpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from test_references import url_of
from test_standing_whole import answer, until
from whole import Site

from trunkline.testing.cluster import FakeCluster
from trunkline.testing.engines.ports import free_port
from trunkline.testing.serving import PachdProcess
from trunkline.testing.tls.certificates import HERE, make
from trunkline.wire.gen import storage_pb2 as storage
from trunkline.wire.gen import storage_pb2_grpc

pytestmark = pytest.mark.timeout(240)
MADE = make(*HERE)

SPOUT = """
pachctl put file spout@master:/through-pachctl -f /pachctl/config.json
python3 -c 'import os; print(os.environ["PACHD_PEER_SERVICE_HOST"], os.environ["PACHD_PEER_SERVICE_PORT"])' > /tmp/peer
pachctl put file spout@master:/peer -f /tmp/peer
sleep 1000
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    with PachdProcess(folder, ["--workers", "1", "--s3", "127.0.0.1:0"], tls=MADE.write(folder)) as server:
        yield Site(server)


def said(site: Site, pattern: str) -> str:
    found = re.search(pattern, site.server.log.read_text(), re.M)
    assert found is not None
    return found[1]


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=MADE.certificate.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def page(address: str, path: str) -> str:
    with urlopen(f"https://{address}{path}", context=trusting(), timeout=60) as got:
        return str(got.read().decode())


def test_every_open_address_speaks_tls(site: Site) -> None:
    s3 = said(site, r"^pachd is serving S3 on (\S+)$")
    assert page(site.server.address, "/readyz") == "ok\n"
    assert "ListAllMyBucketsResult" in page(s3, "/")
    for address in (site.server.address, s3):
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:  # as any client
            channel.unary_unary("/pfs_v2.API/ListRepo")(b"")
        assert "this server speaks TLS" in refused.value.details()
    inside = said(site, r"workers reach it on (\S+)$")
    assert inside.startswith("127.0.0.1:")


def test_a_pipeline_and_its_code_reach_the_server(site: Site) -> None:
    site.pachctl("create", "repo", "edges-in")
    site.put("edges-in", a="one", b="two")
    code = "pachctl list repo > /dev/null 2>&1; cp /pfs/in/* /pfs/out/"
    site.create("edges", {"cmd": ["sh"], "stdin": [code]})
    assert site.counts("edges") == ("success", 2, 0)
    assert site.tree("edges") == {"/a": "one", "/b": "two"}


def test_clients_inside_a_spout_reach_the_server(site: Site) -> None:
    body = {"pipeline": {"name": "spout"}, "transform": {"cmd": ["sh"], "stdin": [SPOUT]}, "spout": {}}
    site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    until(site, lambda: "/peer" in site.pachctl("glob", "file", "spout@master:/*"))
    host, port = site.pachctl("get", "file", "spout@master:/peer").split()
    config = json.loads(site.pachctl("get", "file", "spout@master:/through-pachctl"))
    assert f"{host}:{port}" == said(site, r"workers reach it on (\S+)$")
    assert config["v2"]["contexts"]["spout"]["pachd_address"] == f"grpc://{host}:{port}"
    site.pachctl("delete", "pipeline", "spout")


def test_a_service_has_its_port_where_the_server_is(site: Site) -> None:
    inner, outer = free_port(), free_port()
    site.pachctl("create", "repo", "web-in")
    site.put("web-in", a="one")
    code = f"cd /pfs/in && exec python3 -m http.server --bind 127.0.0.1 {inner}"
    service = {"internal_port": inner, "external_port": outer, "type": "ClusterIP"}
    whole = {"pfs": {"repo": "web-in", "name": "in", "glob": "/"}}
    site.create("web", {"cmd": ["sh"], "stdin": [code]}, service=service, input=whole)
    assert until(site, lambda: answer(outer, "a")) == "one"
    site.pachctl("delete", "pipeline", "web")


def test_references_lead_to_content_over_tls(site: Site) -> None:
    with grpc.secure_channel(site.server.address, grpc.ssl_channel_credentials(MADE.certificate)) as channel:
        sets = storage_pb2_grpc.FilesetStub(channel)
        append = storage.AppendFile(path="/a", data=BytesValue(value=b"bytes"))
        made = sets.CreateFileset(iter([storage.CreateFilesetRequest(append_file=append)]))
        (one,) = sets.ReadFilesetCDR(storage.ReadFilesetRequest(fileset_id=made.fileset_id))
    url = url_of(one.ref)
    assert url.startswith(f"https://{site.server.address}/chunks/")
    with urlopen(url, context=trusting(), timeout=60) as got:
        assert got.read() == b"bytes"


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (("--tls-cert", "none.crt", "--tls-key", "none.key"), 1, "none.crt cannot be read (No such file"),
        (("--tls-cert", "none.crt"), 2, "--tls-cert is given without --tls-key"),
    ],
)
def test_no_server_without_its_certificate(tmp_path: Path, flags: tuple[str, ...], status: int, words: str) -> None:
    command = [sys.executable, "-m", "trunkline", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_s3_over_tls(site: Site, tmp_path: Path) -> None:
    """Clients sign otherwise there: of what they send, the head only."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes(MADE.certificate)
    site.pachctl("create", "repo", "buckets")
    site.put("buckets", a="one")
    for address in (said(site, r"^pachd is serving S3 on (\S+)$"), site.server.address):
        store = boto3.client(
            "s3",
            endpoint_url=f"https://{address}",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            region_name="us-east-1",
            verify=str(roots),
        )
        store.put_object(Bucket="master.buckets", Key="b", Body=address.encode())
        assert store.get_object(Bucket="master.buckets", Key="b")["Body"].read() == address.encode()
        signed = store.generate_presigned_url("get_object", Params={"Bucket": "master.buckets", "Key": "a"})
        with urlopen(signed, context=trusting(), timeout=60) as got:
            assert got.read() == b"one"


def test_pods_are_told_of_the_port_for_workers(tmp_path: Path) -> None:
    config = {
        "clusters": [{"name": "c", "cluster": {}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
        "current-context": "x",
    }
    spec = {"pipeline": {"name": "spout"}, "transform": {"cmd": ["sh"], "image": "code:1"}, "spout": {}}
    with FakeCluster() as cluster:
        config["clusters"] = [{"name": "c", "cluster": {"server": cluster.url}}]
        (tmp_path / "kube.json").write_text(json.dumps(config))
        pods = ["--fleet", "kubernetes", "--kubeconfig", str(tmp_path / "kube.json"), "--worker-image", "ours:1"]
        claim = ["--storage-claim", "data", "--peer", "127.0.0.1:0"]
        with PachdProcess(tmp_path / "server", [*pods, *claim], tls=MADE.write(tmp_path)) as server:
            inside = said(site := Site(server), r"workers reach it on (\S+)$")
            site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(spec).encode())
            until(site, lambda: any(plural == "replicasets" for plural, _ in list(cluster.store.items)))
            made = {plural: one for (plural, name), one in list(cluster.store.items.items()) if "spout" in name}
    containers = {each["name"]: each for each in made["replicasets"]["spec"]["template"]["spec"]["containers"]}
    told = {each["name"]: each.get("value", "") for each in containers["storage"]["env"]}
    assert json.loads(told["TRUNKLINE_POD"])["address"] == f"grpc://{inside}"
    (settings,) = [each for name, each in made["secrets"]["data"].items() if name.endswith("config.json")]
    document = json.loads(base64.b64decode(settings))
    assert document["v2"]["contexts"]["spout"]["pachd_address"] == f"grpc://{inside}"


PAGE = Path(__file__).parent.parent.parent / "docs" / "tls.md"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the page makes its certificate with openssl")
def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    making, asking = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    run = ["bash", "-euo", "pipefail", "-c"]
    subprocess.run([*run, making], cwd=tmp_path, capture_output=True, check=True)
    with PachdProcess(tmp_path, ["--workers", "0"], tls=(tmp_path / "pachd.crt", tmp_path / "pachd.key")) as pachd:
        env = {**pachd.client_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        typed = asking.replace("30650", pachd.address.split(":")[1])
        said = subprocess.run([*run, typed], cwd=tmp_path, env=env, capture_output=True, check=True).stdout.decode()
    assert re.search(r"^pachd +2\.", said, re.M)
