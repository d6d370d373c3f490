"""Forms of a server's address, and what a failed call becomes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest

from trunkline import errors
from trunkline.client import connect, parse
from trunkline.client.failures import _CODES, translate
from trunkline.errors import InvalidArgument, Kind, TrunklineError, Unavailable
from trunkline.testing.scripted import ScriptedServer
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.notes import note


@pytest.mark.parametrize(
    ("text", "address", "target", "tls"),
    [
        ("localhost", "grpc://localhost:30650", "dns:///localhost:30650", False),
        ("localhost:1", "grpc://localhost:1", "dns:///localhost:1", False),
        ("grpc://10.0.0.1", "grpc://10.0.0.1:30650", "dns:///10.0.0.1:30650", False),
        ("grpcs://a.example:5", "grpcs://a.example:5", "dns:///a.example:5", True),
        ("http://a.example", "grpc://a.example:80", "dns:///a.example:80", False),
        ("https://a.example/", "grpcs://a.example:443", "dns:///a.example:443", True),
        ("HTTPS://A.example", "grpcs://a.example:443", "dns:///a.example:443", True),
        ("[::1]:30651", "grpc://[::1]:30651", "dns:///[::1]:30651", False),
        ("unix:/run/pachd.sock", "unix:/run/pachd.sock", "unix:/run/pachd.sock", False),
        ("unix:///run/pachd.sock", "unix:/run/pachd.sock", "unix:/run/pachd.sock", False),
        (" localhost ", "grpc://localhost:30650", "dns:///localhost:30650", False),
    ],
)
def test_an_address_in_any_form(text, address, target, tls):
    found = parse(text)
    assert (str(found), found.target, found.tls) == (address, target, tls)
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no host"),
        ("grpc://", "names no host"),
        ("ftp://h", '"ftp" is unknown'),
        ("http://u:p@h", "user or a password"),
        ("http://h/path", "nothing may follow"),
        ("http://h?x=1", "nothing may follow"),
        ("h:notaport", "is not the address"),
        ("h:99999", "is not the address"),
        ("h:0", "port 0"),
        ("a host", "names no host"),
        ("unix:", "names no socket"),
    ],
)
def test_what_is_no_address_is_refused_with_its_text(text, why):
    with pytest.raises(InvalidArgument, match=why) as refused:
        parse(text)
    assert f'"{text}"' in str(refused.value)
    assert "localhost:30650" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("localhost", True),
        ("127.0.0.2:1", True),
        ("[::1]", True),
        ("unix:/x", True),
        ("10.1.1.1", False),
        ("a.b", False),
    ],
)
def test_no_proxy_stands_before_this_machine(text, local):
    assert parse(text).is_local is local


def test_every_code_is_an_error_of_ours():
    assert set(_CODES) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize("kind", list(Kind))
def test_an_error_comes_back_as_it_was_raised(kind):
    raised = next(
        one for one in TrunklineError.__subclasses__() if one.kind is kind and one.__module__ == errors.__name__
    )
    with ScriptedServer() as server, connect(server.address) as client:
        server.script["pfs.InspectRepo"] = raised("what was wrong")
        server.script["pfs.ListRepo"] = [pfs.RepoInfo(), raised("later")]
        with pytest.raises(raised, match="what was wrong"):
            client.pfs.InspectRepo(pfs.InspectRepoRequest())
        answers = client.pfs.ListRepo(pfs.ListRepoRequest())
        assert next(answers) == pfs.RepoInfo()
        with pytest.raises(raised, match="later"):
            next(answers)


def test_nobody_there():
    with (
        connect("127.0.0.1:1") as client,
        pytest.raises(Unavailable, match=r"cannot reach pachd at 127\.0\.0\.1:1; start"),
    ):
        client.pfs.InspectRepo(pfs.InspectRepoRequest())


def test_a_call_the_server_lacks_is_named():
    with ScriptedServer() as server, connect(server.address) as client:
        lacking = client._calls.unary_unary("/none.API/Nothing", None, None)
        with pytest.raises(errors.Unimplemented, match=r"no call none\.API/Nothing"):
            lacking(b"")


def test_token_and_transaction_go_along():
    with ScriptedServer() as server, connect(server.address, token="t", transaction="x") as client:
        server.script["pfs.InspectRepo"] = pfs.RepoInfo()
        client.pfs.InspectRepo(pfs.InspectRepoRequest())
        metadata = server.only("pfs.InspectRepo").metadata
    assert (metadata["authn-token"], metadata["pach-transaction"]) == ("t", "x")


def test_a_note_beside_an_answer_is_told():
    told: list[str] = []
    with ScriptedServer() as server, connect(server.address, on_note=told.append) as client:
        server.script["pfs.InspectRepo"] = pfs.RepoInfo()
        server.trailing = [note("grüße"), note("two")]
        client.pfs.InspectRepo(pfs.InspectRepoRequest())
    assert told == ["grüße", "two"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("failed to connect to all addresses; last error: refused", "cannot reach pachd at h:1; start one"),
        ("errors resolving h:1: [lookup failed]", r"h:1 \(the name cannot be resolved\)"),
        ("failed to connect: Ssl handshake failed", r"h:1 \(the TLS handshake failed\)"),
        ("Socket closed", "pachd at h:1 went away in the middle"),
        ("Cancelling all calls", "pachd at h:1 went away in the middle"),
        ("the engine is full", "^the engine is full$"),
    ],
)
def test_a_server_that_is_not_there_is_told_in_words(words, said):
    class Failed(grpc.RpcError, grpc.Call):
        def code(self):
            return grpc.StatusCode.UNAVAILABLE

        def details(self):
            return words

        def initial_metadata(self):
            return ()

        def trailing_metadata(self):
            return ()

        def is_active(self):
            return False

        def time_remaining(self):
            return None

        def cancel(self):
            return False

        def add_callback(self, callback):
            return False

    with pytest.raises(Unavailable, match=said):
        raise translate(Failed(), parse("h:1"), "/a.API/B")


def test_a_server_that_ends_breaks_off_its_streams():
    with ScriptedServer() as server, connect(server.address) as client:
        ended = threading.Event()

        def slowly(_request: pfs.ListRepoRequest) -> Iterator[pfs.RepoInfo]:
            yield pfs.RepoInfo()
            ended.wait(30)

        server.script["pfs.ListRepo"] = slowly
        answers = client.pfs.ListRepo(pfs.ListRepoRequest())
        next(answers)
        stopping = threading.Thread(target=server.__exit__, args=(None, None, None))
        stopping.start()
        with pytest.raises(TrunklineError, match=r"went away|[Cc]ancel"):
            next(answers)
        ended.set()
        stopping.join()
