"""Doors onto services: every call of every service is registered, whether it is built or not.

A door is an object with one method a call, named like it and taking (request, call); the way it is written says how
it runs: a plain function in a thread, a plain generator in threads batch by batch, a coroutine or an asynchronous
generator on the loop (for waiting). It answers messages, or bytes that are messages encoded already. A door that has a
method `admit(call)` is asked before each call, and raises to refuse it. Calls that take a stream get a blocking
iterator. What no door has answers UNIMPLEMENTED, with a sentence.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message

from trunkline.ambient import Ambient
from trunkline.api.errors import status_of
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call, call_of
from trunkline.api.rpc.missing import sentence
from trunkline.errors import InvalidArgument, Unimplemented
from trunkline.wire.notes import trailing

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Any]

KINDS: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether the client streams, and whether the server does."""


class Door(Protocol):
    """An object that answers some of the calls of one service; a service may have several."""

    @property
    def service(self) -> str:
        """The service's full name, as pfs_v2.API."""
        ...


Reader = Callable[[bytes], Any]
"""Makes a message of what came, where protobuf is not to. Raises DecodeError. A door names those of its calls in a
mapping `readers`."""


class Recorder(Protocol):
    """Keeps calls that are made in a transaction, where it can, instead of making them."""

    def takes(self, method: str) -> bool:
        """Whether transactions can hold calls of this method, a path such as /pfs_v2.API/CreateRepo."""
        ...

    def record(self, request: Any, call: Call) -> Message:
        """Keep a call for its transaction. Answers what the call would, as things are."""
        ...


@dataclass(frozen=True, slots=True)
class Rooms:
    """What every handler needs. recorder: None where nothing keeps transactions."""

    bridge: Bridge
    ambient: Ambient
    recorder: Recorder | None = None


def handlers(
    services: Iterable[ServiceDescriptor], doors: Sequence[Door], rooms: Rooms
) -> list[grpc.GenericRpcHandler]:
    """A handler for each service, and one that answers whatever is called besides.

    Raises ValueError for a door whose service does not exist, or that has a call which its service has not.
    """
    by_service: dict[str, list[Door]] = {}
    for door in doors:
        by_service.setdefault(door.service, []).append(door)
    found: list[grpc.GenericRpcHandler] = []
    for service in services:
        calls = _calls(service, by_service.pop(service.full_name, []))
        methods = {method.name: _handler(method, calls.get(method.name), rooms) for method in service.methods}
        found.append(grpc.method_handlers_generic_handler(service.full_name, methods))
    if by_service:
        raise ValueError(f"no such service: {', '.join(by_service)}")
    return [*found, _Unknown()]


def _calls(service: ServiceDescriptor, doors: Sequence[Door]) -> dict[str, Callable[..., Any]]:
    """The methods of a service's doors, by name: calls begin with a capital letter, as no other attribute does."""
    calls: dict[str, Callable[..., Any]] = {}
    for door in doors:
        for name in (name for name in dir(door) if name[0].isupper()):
            if name not in service.methods_by_name or name in calls:
                raise ValueError(f"{type(door).__name__}.{name} is no call of {service.full_name}, or is there twice")
            calls[name] = getattr(door, name)
    return calls


class _Unknown(grpc.GenericRpcHandler):
    """Answers calls of which not even the name is known."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        said = sentence(handler_call_details.method)

        async def refuse(_request: bytes, context: Context) -> bytes:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, said)
            raise AssertionError("abort returns never")

        return grpc.unary_unary_rpc_method_handler(refuse)


def _handler(
    method: MethodDescriptor, work: Callable[..., Any] | None, rooms: Rooms
) -> grpc.RpcMethodHandler[Any, Any]:
    name = f"/{method.containing_service.full_name}/{method.name}"
    if work is None:
        work = partial(_unbuilt_stream if method.server_streaming else _unbuilt, name)
    build = KINDS[method.client_streaming, method.server_streaming]
    answer = (_streaming if method.server_streaming else _single)(name, method, work, rooms)
    kind = message_factory.GetMessageClass(method.input_type)
    readers: Mapping[str, Reader] = getattr(getattr(work, "__self__", None), "readers", {})
    read = readers.get(method.name, kind.FromString)
    return build(answer, partial(_decode, method.input_type.name, read), _encode)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """What came in place of a message. gRPC would answer for a decoder that raises, and not in words."""

    error: InvalidArgument


def _decode(name: str, read: Reader, data: bytes) -> Any:
    try:
        return read(data)
    except DecodeError as error:
        what = f"{len(data)} bytes came that are no {name} ({error})"
        return _Unreadable(InvalidArgument(f"{what}; every text in it must be UTF-8"))


def _read(message: Any) -> Any:
    if isinstance(message, _Unreadable):
        raise message.error
    return message


async def _all_read(messages: AsyncIterable[Any]) -> AsyncIterator[Any]:
    async for message in messages:
        yield _read(message)


def _encode(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


async def _unbuilt(name: str, _request: object, _call: Call) -> Message:
    raise Unimplemented(sentence(name))


async def _unbuilt_stream(name: str, _request: object, _call: Call) -> AsyncIterator[Message]:
    raise Unimplemented(sentence(name))
    yield  # makes it a generator, as calls that stream need one


def _single(name: str, method: MethodDescriptor, work: Callable[..., Any], rooms: Rooms) -> Handler:
    """A handler that answers once."""

    async def answer(request: Any, context: Context) -> Message:
        call = call_of(name, context.invocation_metadata())
        try:
            request = _all_read(request) if method.client_streaming else _read(request)
            _admit(work, call)
            chosen = _chosen(work, call, rooms.recorder)
            result: Message = await _run(method, chosen, request, context, call, rooms.bridge)
            if chosen is work and (outside := call.at_once()):
                call.notes.append(outside)
            if call.notes:
                context.set_trailing_metadata(trailing(call.notes))
            return result
        except asyncio.CancelledError:
            call.leave()
            raise
        except Exception as error:
            await _abort(error, name, context, rooms.ambient)
            raise

    return answer


def _admit(work: Callable[..., Any], call: Call) -> None:
    """Raise if this caller may not make this call."""
    ask = getattr(getattr(work, "__self__", None), "admit", None)
    if ask is not None:
        ask(call)


def _chosen(work: Callable[..., Any], call: Call, recorder: Recorder | None) -> Callable[..., Any]:
    """What answers a call: in a transaction that can hold it, whatever records it."""
    if call.transaction and recorder is not None and recorder.takes(call.method):
        return recorder.record
    return work


def _run(
    method: MethodDescriptor, work: Callable[..., Any], request: Any, context: Context, call: Call, bridge: Bridge
) -> Awaitable[Message]:
    if _waits(work):
        done: Awaitable[Message] = work(request, call)
        return done
    if method.client_streaming:
        # Messages end in the same way when the client has sent all and when it was cut off; but headers can only be
        # sent to a client that is still there. Without this, half an upload would be taken for a whole one.
        is_whole = partial(context.send_initial_metadata, ())
        return bridge.consume(aiter(request), lambda messages: work(messages, call), is_whole)
    return bridge.unary(partial(work, request, call))


def _streaming(name: str, method: MethodDescriptor, work: Callable[..., Any], rooms: Rooms) -> Handler:
    """A handler that answers with a stream."""

    async def answer(request: Any, context: Context) -> AsyncIterator[Message]:
        call = call_of(name, context.invocation_metadata())
        try:
            request = _all_read(request) if method.client_streaming else _read(request)
            _admit(work, call)
            async with aclosing(_items(work, request, call, rooms.bridge)) as items:
                async for item in items:
                    yield item
        except (asyncio.CancelledError, GeneratorExit):
            call.leave()
            raise
        except Exception as error:
            await _abort(error, name, context, rooms.ambient)
            raise

    if method.client_streaming and not _waits(work):
        raise ValueError(f"{name} takes and gives a stream: its door must be an asynchronous generator")
    return answer


def _items(work: Callable[..., Any], request: Any, call: Call, bridge: Bridge) -> Any:
    if _waits(work):
        return work(request, call)
    start: Callable[[], Iterator[Message]] = partial(work, request, call)
    return bridge.stream(start)


def _plain(work: Callable[..., Any]) -> Callable[..., Any]:
    return work.func if isinstance(work, partial) else work


def _waits(work: Callable[..., Any]) -> bool:
    plain = _plain(work)
    return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)


async def _abort(error: Exception, name: str, context: Context, ambient: Ambient) -> None:
    if isinstance(error, grpc.aio.AbortError):
        return
    status = status_of(error, name, ambient)
    await context.abort(status.code, status.details)
