"""`pachctl debug`."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.errors import Unavailable
from trunkline.wire.gen import debug_v2_pb2 as debug
from trunkline.wire.gen import pps_v2_pb2 as pps


def test_dump(pachctl, server, context, tmp_path):
    server.script["debug.Dump"] = [BytesValue(value=b"ab"), BytesValue(value=b"c")]
    file = tmp_path / "dump.tgz"
    assert pachctl("debug", "dump", file).out == f"{file}: 3B\n"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"abc", 0o600)
    assert server.only("debug.Dump").request == debug.DumpRequest(filter=debug.Filter())
    again = pachctl("debug", "dump", file)
    assert (again.status, "is there already" in again.err) == (1, True)
    assert pachctl("debug", "dump", "-", "-p", "edges", "-l", "3").out == "abc"
    only = debug.Filter(pipeline=pps.Pipeline(name="edges", project={"name": "default"}))
    assert server.calls[-1].request == debug.DumpRequest(filter=only, limit=3)
    server.script["debug.Dump"] = Unavailable("gone")
    assert pachctl("debug", "dump", tmp_path / "other").status == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(("dump", "other"))) == ["dump.tgz"]


def test_the_program_is_written_to_a_file(pachctl, server, context, tmp_path):
    server.script["debug.Binary"] = [BytesValue(value=b"ab"), BytesValue(value=b"c")]
    assert pachctl("debug", "binary", tmp_path / "p.tar.gz").out == f"{tmp_path / 'p.tar.gz'}: 3B\n"
    assert server.only("debug.Binary").request == debug.BinaryRequest()


def test_a_template_is_printed_edited_and_sent(pachctl, server, context, tmp_path):
    request = debug.DumpV2Request(system=debug.System(version=True), input_repos=True)
    server.script["debug.GetDumpV2Template"] = debug.GetDumpV2TemplateResponse(request=request)
    told = pachctl("debug", "template", "version").out
    assert told == "system:\n  version: true\ninput_repos: true\n"
    assert list(server.only("debug.GetDumpV2Template").request.filters) == ["version"]
    (tmp_path / "t.yaml").write_text(told.replace("input_repos: true\n", ""))
    server.script["debug.DumpV2"] = [
        debug.DumpChunk(progress=debug.DumpProgress(task="dump", total=1)),
        debug.DumpChunk(content=debug.DumpContent(content=b"abc")),
    ]
    assert pachctl("debug", "dump", "-", "-t", tmp_path / "t.yaml").out == "abc"
    assert server.only("debug.DumpV2").request == debug.DumpV2Request(system=debug.System(version=True))
    (tmp_path / "t.yaml").write_text("sytem: {}")
    assert "is no template of a dump" in pachctl("debug", "dump", "-", "-t", tmp_path / "t.yaml").err


def test_profile_and_level(pachctl, server, context, tmp_path):
    server.script["debug.Profile"] = [BytesValue(value=b"a;b 3\n")]
    assert pachctl("debug", "profile", "cpu", "-", "-d", "30s").out == "a;b 3\n"
    asked = debug.Profile(name="cpu", duration=Duration(seconds=30))
    assert server.only("debug.Profile").request == debug.ProfileRequest(profile=asked)
    server.script["debug.SetLogLevel"] = debug.SetLogLevelResponse(affected_pods=["pachd"])
    assert pachctl("debug", "log-level", "debug").out == "pachd: debug for 5 minutes\n"
    level = debug.SetLogLevelRequest(pachyderm=debug.SetLogLevelRequest.DEBUG, duration=Duration(seconds=300))
    assert server.only("debug.SetLogLevel").request == level
