"""A pachd that answers from a script: the generated services, with one function or value behind each call.

What a test does not script answers UNIMPLEMENTED, so that a client cannot make a call unseen.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from trunkline.errors import Kind, TrunklineError

SERVICES = {
    "admin": ("admin_v2", "API"),
    "debug": ("debug_v2", "Debug"),
    "metadata": ("metadata", "API"),
    "pfs": ("pfs_v2", "API"),
    "pps": ("pps_v2", "API"),
    "transactions": ("transaction_v2", "API"),
    "versions": ("versionpb_v2", "API"),
    "bulk": ("trunkline", "Files"),
    "datums": ("trunkline", "Datums"),
    "images": ("trunkline", "Images"),
    "space": ("trunkline", "Space"),
    "backups": ("trunkline", "Backups"),
    "moving": ("trunkline", "Moving"),
}
"""The stub's name in `trunkline.client.Client` to generated module and service."""

_LIMIT_BYTES = 20 * 1024 * 1024


@dataclass
class Call:
    """One call that came in. `requests` holds all messages of a stream."""

    name: str
    requests: list[Any]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def request(self) -> Any:
        """The first message."""
        return self.requests[0]


Answer = Callable[[Any], Any] | Message | list[Any] | TrunklineError


class ScriptedServer:
    """Answers on a port of its own, while it is used in a `with`.

    `script["pfs.ListRepo"]` is a message, a list of messages, an error to raise, or a function of the request (of the
    list of requests for a stream of them) that gives one of these. `trailing` goes with every answer.
    """

    def __init__(self) -> None:
        self.script: dict[str, Answer] = {}
        self.calls: list[Call] = []
        self.trailing: list[tuple[str, str | bytes]] = []
        self._server = grpc.server(
            ThreadPoolExecutor(8),
            options=[
                ("grpc.max_receive_message_length", _LIMIT_BYTES),
                ("grpc.max_send_message_length", _LIMIT_BYTES),
                ("grpc.so_reuseport", 0),
            ],
        )
        for stub, (module, service) in SERVICES.items():
            generated = importlib.import_module(f"trunkline.wire.gen.{module}_pb2_grpc")
            getattr(generated, f"add_{service}Servicer_to_server")(_Service(self, stub), self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def address(self) -> str:
        """What a client is told to dial."""
        return f"grpc://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Call]:
        """The calls that came to `name`."""
        return [call for call in self.calls if call.name == name]

    def only(self, name: str) -> Call:
        """The one call that came to `name`."""
        (call,) = self.named(name)
        return call

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(None).wait()

    def answer(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        """What the script says to one call."""
        requests = list(request) if isinstance(request, Iterator) else [request]
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.calls.append(Call(name, requests, metadata))
        context.set_trailing_metadata(tuple(self.trailing))
        answer = self.script.get(name)
        if answer is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the script says nothing about {name}")
        if callable(answer):
            answer = answer(requests if isinstance(request, Iterator) else request)
        return self._sent(answer, context)

    def _sent(self, answer: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(answer, TrunklineError):
            context.abort(_CODES[answer.kind], str(answer))
        if isinstance(answer, Iterable) and not isinstance(answer, Message):
            return self._stream(answer, context)
        return answer

    def _stream(self, answers: Iterable[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for one in answers:
            if isinstance(one, TrunklineError):
                context.abort(_CODES[one.kind], str(one))
            yield one


_CODES = {kind: grpc.StatusCode[kind.name] for kind in Kind}


class _Service:
    """Stands for a generated servicer: whatever method is asked for asks the script."""

    def __init__(self, server: ScriptedServer, name: str) -> None:
        self._server = server
        self._name = name

    def __getattr__(self, method: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        return lambda request, context: self._server.answer(f"{self._name}.{method}", request, context)
