"""A server that is sent anything, on every call, and what it must never answer.

A caller's mistake is refused in words and the server goes on: no INTERNAL, no UNKNOWN, no traceback in the log, no call
that never ends. What is refused is not half done: everything is as it was before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from trunkline.ambient import RealAmbient
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.services import SERVICES
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.testing.calls import Client
from trunkline.testing.doors import serving
from trunkline.testing.fuzzing.messages import Pool, Slot, class_of, message
from trunkline.testing.fuzzing.mutants import mutate
from trunkline.testing.fuzzing.trail import Trail
from trunkline.testing.fuzzing.valid import Luck, valid
from trunkline.testing.fuzzing.world import fill
from trunkline.wire.gen import pfs_v2_pb2 as pfs

LONG_S = 60.0
"""No call may take longer that does not wait for something to happen."""

SHORT_S = 0.25
"""How long calls that wait are waited for."""

WAITING = {
    "SubscribeCommit", "InspectCommit", "InspectCommitSet", "SubscribeJob", "InspectJob", "InspectJobSet", "GetLogs",
    "ListTask", "CreateDatum", "GetKubeEvents", "QueryLoki", "RunLoadTest", "RunLoadTestDefault",
    "RunPFSLoadTest", "RunPFSLoadTestDefault",
}  # fmt: skip
"""Calls that may wait for what never happens, or work for as long as they were asked to."""

REMOVING = ("Delete", "Squash", "Drop", "Clear", "Finish", "Forget")

OWN = {"trunkline.worker.v1.Workers"}
"""Called by the server's own workers and by nobody else, who has no token."""

NEVER = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNAVAILABLE}


BRINGING = {"ImportRepo", "Restore"}
"""Calls that take what a server wrote once: DATA_LOSS says that it is damaged."""

LEAVING: dict[str, str] = {}
"""Calls that may be refused and leave something all the same, and why."""

NOBODY = "127.0.0.1:1/"
"""An address that requests name and where nobody answers: that it is so may be said."""


@dataclass
class Broken:
    """Keeps what is logged as an error, which no caller's mistake may cause."""

    found: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While in use, every error in our own log is kept."""
        handler = logging.Handler(logging.ERROR)
        handler.setFormatter(logging.Formatter())
        handler.emit = lambda record: self.found.append(handler.format(record))  # type: ignore[method-assign]
        logger = logging.getLogger()
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class Fuzzed:
    """A server with a few repos and pipelines, and no workers, so that no code of anybody runs."""

    def __init__(self, engine: Engine, channel: grpc.Channel, broken: Broken, trail: Trail) -> None:
        self._channel = channel
        self._broken = broken
        self._trail = trail
        self.refused = 0
        """How many refused calls were seen to leave nothing."""
        self.pool = Pool()
        self.methods = built(engine)
        self.fill()

    def fill(self) -> None:
        """Make what is missing again, and know what exists."""
        fill(self._channel, self.pool)

    def requests(self, method: MethodDescriptor) -> st.SearchStrategy[list[Message]]:
        """What may be sent."""
        one = message(class_of(method.input_type), self.pool)
        return st.lists(one, max_size=4) if method.client_streaming else one.map(lambda each: [each])

    def mutants(self, method: MethodDescriptor, luck: Luck) -> list[Message]:
        """What is done, or that with a few things changed."""
        return mutate(valid(method, self.pool, luck), self.pool, luck)

    def metadata(self) -> st.SearchStrategy[list[tuple[str, str]]]:
        """What may be sent beside it: now and then a transaction."""
        ids = st.sampled_from([Slot("transaction", 0), "0" * 32, "nonsense"]).map(self.pool.said)
        return st.integers(0, 9).flatmap(
            lambda luck: ids.map(lambda id: [("pach-transaction", id)]) if luck == 0 else st.just([])
        )

    def call(
        self, method: MethodDescriptor, requests: Sequence[Message], metadata: Sequence[tuple[str, str]] = ()
    ) -> grpc.StatusCode:
        """Make a call, read its whole answer, and judge it. Raises AssertionError."""
        sent = [each.SerializeToString() for each in requests]
        followed = self._trail.begin(SHORT_S)
        code, said = self._outcome(method, sent, SHORT_S if method.name in WAITING else LONG_S, metadata)
        told = f"{method.full_name} answered {code.name} ({said})"
        assert not self._broken.found, f"{told}; logged: {self._broken.found.pop()}"
        brought = method.name in BRINGING and code is grpc.StatusCode.DATA_LOSS
        away = NOBODY in said and code is grpc.StatusCode.UNAVAILABLE
        assert brought or away or code not in NEVER, told
        late = code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert not late or method.name in WAITING, f"{told}: it never ended"
        assert code is grpc.StatusCode.OK or said.strip(), f"{told} without words"
        assert "Traceback" not in said, told
        if followed and code not in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED):
            left = self._trail.left()
            assert not left or method.full_name in LEAVING, "\n".join((f"{told}, and left", *left))
            self.refused += 1
        if code is grpc.StatusCode.OK and method.name.startswith(REMOVING):
            self.fill()
        return code

    def must_be_sound(self) -> None:
        """The server still takes and gives files, and checks itself without complaint. Raises AssertionError."""
        self.fill()
        client = Client.on(self._channel)
        client.count = 1000
        repo = client.repo()
        client.put(repo, {"/after": b"all"})
        assert client.finished(repo).error == ""
        assert client.get(repo, "/after") == [b"all"]
        complaints = [each.error for each in client.stub.Fsck(pfs.FsckRequest()) if each.error]
        assert not complaints, complaints
        assert not self._broken.found, self._broken.found[0]

    def raw(self, method: MethodDescriptor, *data: bytes) -> tuple[grpc.StatusCode, str]:
        """What the server says to bytes that need not be a message."""
        return self._outcome(method, data, LONG_S, ())

    def _outcome(
        self, method: MethodDescriptor, sent: Sequence[bytes], patience_s: float, metadata: Sequence[tuple[str, str]]
    ) -> tuple[grpc.StatusCode, str]:
        sides = [("unary", "stream")[side] for side in (method.client_streaming, method.server_streaming)]
        call = getattr(self._channel, "_".join(sides))(f"/{method.containing_service.full_name}/{method.name}")
        try:
            answer = call(
                iter(sent) if method.client_streaming else sent[0], timeout=patience_s, metadata=list(metadata)
            )
            if method.server_streaming:
                for _ in answer:
                    pass
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""


def built(engine: Engine) -> list[MethodDescriptor]:
    """The calls that somebody answers, by name."""
    loop, bridge = asyncio.new_event_loop(), Bridge()
    try:
        doors = engine.doors(loop, bridge)
        answered = {f"{door.service}.{name}" for door in doors for name in dir(door) if name[0].isupper()}
    finally:
        bridge.close()
        loop.close()
    every = [method for service in SERVICES for method in service.methods if service.full_name not in OWN]
    return sorted((each for each in every if each.full_name in answered), key=lambda each: str(each.full_name))


@contextmanager
def fuzzed(folder: Path) -> Iterator[Fuzzed]:
    """A server to be sent anything, on an empty folder."""
    broken = Broken()
    engine = open_engine(Config(data=folder / "data"), RealAmbient())
    trail = Trail(engine.space.files.catalog)
    engine.start(("127.0.0.1", 0))
    try:
        with broken.watching(), serving(folder, engine.doors, engine.recorder, trail.bridge) as channel:
            yield Fuzzed(engine, channel, broken, trail)
    finally:
        engine.stop()
        engine.close()
