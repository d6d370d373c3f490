"""A real pachd: one address for gRPC and HTTP, starting, stopping, refusing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from trunkline.api.rpc.services import SERVICES
from trunkline.app.server import socket_folder
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import (
    admin_v2_pb2,
    admin_v2_pb2_grpc,
    enterprise_v2_pb2,
    enterprise_v2_pb2_grpc,
    versionpb_v2_pb2_grpc,
)


@pytest.fixture(scope="module")
def pachd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PachdProcess]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ["--workers", "0"]) as server:
        yield server


@pytest.fixture(scope="module")
def channel(pachd: PachdProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(pachd.address) as opened:
        yield opened


def get(address: str, path: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
        return answer.status, answer.read()


def test_grpc_and_http_share_the_address(pachd: PachdProcess, channel: grpc.Channel) -> None:
    assert get(pachd.address, "/healthz") == (200, b"ok\n")
    assert get(pachd.address, "/readyz") == (200, b"ok\n")
    for path in ("/schemas/pipeline.json", "/jsonschema/pps_v2/CreatePipelineRequest.schema.json"):
        status, schema = get(pachd.address, path)
        assert (status, schema.decode()) == (200, pachd.pachctl("inspect", "schema"))
    version = versionpb_v2_pb2_grpc.APIStub(channel).GetVersion(Empty())
    assert (version.major, version.minor) == (2, 12)
    status, text = get(pachd.address, "/metrics")
    assert status == 200
    assert b"process_resident_memory_bytes" in text
    assert b'trunkline_cache_limit_bytes{cache="index"} 2.147483648e+09' in text
    assert b'trunkline_cache_hits_total{cache="chunk"}' in text


def test_health_and_reflection(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answer = next(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked))
    names = {service.name for service in answer.list_services_response.service}
    assert {service.full_name for service in SERVICES} <= names


def test_the_cluster_keeps_its_ids(tmp_path: Path) -> None:
    seen = []
    server = PachdProcess(tmp_path, ["--workers", "0"])
    for _ in range(2):
        server.start(fresh=not seen)
        with grpc.insecure_channel(server.address) as channel:
            info = admin_v2_pb2_grpc.APIStub(channel).InspectCluster(admin_v2_pb2.InspectClusterRequest())
        seen.append((info.id, info.deployment_id))
        assert info.warnings_ok
        server.stop()
    assert seen[0] == seen[1]
    assert all(len(part) == 32 for part in seen[0])


def test_everything_is_licensed(channel: grpc.Channel) -> None:
    state = enterprise_v2_pb2_grpc.APIStub(channel).GetState(enterprise_v2_pb2.GetStateRequest())
    assert state.state == enterprise_v2_pb2.ACTIVE


def test_a_client_of_another_major_version_is_warned(channel: grpc.Channel) -> None:
    request = admin_v2_pb2.InspectClusterRequest()
    request.client_version.major = 1
    assert "1.0" in admin_v2_pb2_grpc.APIStub(channel).InspectCluster(request).warnings[0]


def test_a_call_of_no_service_is_answered_in_words(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/nowhere.API/Nothing")
    with pytest.raises(grpc.RpcError) as raised:
        call(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "nowhere.API/Nothing" in raised.value.details()


def test_a_second_server_on_the_same_data_is_refused(pachd: PachdProcess) -> None:
    done = start(pachd.data, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert str(pachd.pid) in done.stderr
    assert "in use" in done.stderr


def test_an_address_that_is_taken_is_refused_in_words(pachd: PachdProcess, tmp_path: Path) -> None:
    done = start(tmp_path / "other", "--listen", pachd.address)
    assert done.returncode == 1
    assert pachd.address in done.stderr
    assert "Traceback" not in done.stderr


def test_an_open_address_needs_a_word_of_consent(tmp_path: Path) -> None:
    done = start(tmp_path / "data", "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "--insecure" in done.stderr
    assert not (tmp_path / "data").exists()


def start(data: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trunkline", "--data", str(data), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with PachdProcess(tmp_path) as server:
        # A client that is connected and silent, and one in the middle of a call, do not keep it.
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port))) as silent, grpc.insecure_channel(server.address) as channel:
            silent.sendall(b"GET / HT")
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            os.kill(server.pid, number)
            assert os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT).si_status == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("deep", [False, True])
def test_sockets_lie_where_only_this_user_reaches_them(tmp_path: Path, deep: bool) -> None:
    data = tmp_path.joinpath(*["x" * 40] * 3) if deep else Path(tempfile.mkdtemp(dir=tmp_path.parent))
    data.mkdir(parents=True, exist_ok=True)
    first = socket_folder(data)
    (first / "grpc").touch()  # left by a server that was killed
    second = socket_folder(data)
    assert stat.S_IMODE(second.stat().st_mode) == 0o700
    assert list(second.iterdir()) == []
    assert len(str(second / "grpc")) < 108
    for folder in {first, second}:
        shutil.rmtree(folder)
