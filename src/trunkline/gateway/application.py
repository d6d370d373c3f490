"""The HTTP application on the server's address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trunkline.gateway.chunks import chunk_route
from trunkline.gateway.s3.requests import asked_of
from trunkline.gateway.s3.signing import is_signed
from trunkline.model.specs.reference.jsonschema import shipped

if TYPE_CHECKING:
    from trunkline.pfs.collection.space import Space
    from trunkline.pfs.lent.links import Links


def application(space: Space, links: Links) -> Starlette:
    """`/healthz` answers ok while the server serves; `/metrics` speaks Prometheus' text format.

    `/schemas/pipeline.json` is the JSON Schema of pipeline specs, for editors. `/chunks/` gives content to
    who was given its address.
    """

    async def metrics(_request: Request) -> Response:
        from prometheus_client.exposition import CONTENT_TYPE_LATEST

        return Response(await asyncio.to_thread(exposed, space), headers={"content-type": CONTENT_TYPE_LATEST})

    routes = [Route("/healthz", _healthz), Route("/metrics", metrics), Route("/schemas/pipeline.json", _schema)]
    routes.append(chunk_route(links))
    return Starlette(routes=routes)


def beside(application: ASGIApp, s3: ASGIApp) -> ASGIApp:
    """Both on one address: requests that are signed as S3's are for `s3`."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        signed = scope["type"] == "http" and is_signed(asked_of(Request(scope)))
        await (s3 if signed else application)(scope, receive, send)

    return either


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def exposed(space: Space) -> bytes:
    """All metrics, as text: those of the process, and of what is stored."""
    # A second to import, that nobody waits for who does not ask.
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.exposition import generate_latest

    from trunkline.gateway.metrics import StorageMetrics

    own = CollectorRegistry()
    own.register(StorageMetrics(space))
    return generate_latest(REGISTRY) + generate_latest(own)


async def _schema(_request: Request) -> Response:
    return Response(shipped(), media_type="application/schema+json")
