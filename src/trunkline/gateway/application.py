"""The HTTP application on the server's address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trunkline.errors import TrunklineError
from trunkline.gateway.chunks import chunk_route
from trunkline.gateway.s3.requests import asked_of
from trunkline.gateway.s3.signing import is_signed
from trunkline.model.specs.reference.jsonschema import shipped

if TYPE_CHECKING:
    from trunkline.pfs.collection.space import Space
    from trunkline.pfs.lent.links import Links


READY_S = 3.0
"""How long `/readyz` waits for the catalog."""

SCHEMA_PATHS = ("/schemas/pipeline.json", "/jsonschema/pps_v2/CreatePipelineRequest.schema.json")


def application(space: Space, links: Links) -> Starlette:
    """`/healthz` answers ok while the server serves, `/readyz` while it reaches its rows as well.

    `/metrics` speaks Prometheus' text format.

    `/schemas/pipeline.json` is the JSON Schema of pipeline specs, for editors, also where Pachyderm has it below
    `/jsonschema/`. `/chunks/` gives content to who was given its address.
    """

    async def metrics(_request: Request) -> Response:
        from prometheus_client.exposition import CONTENT_TYPE_LATEST

        return Response(await asyncio.to_thread(exposed, space), headers={"content-type": CONTENT_TYPE_LATEST})

    async def readyz(_request: Request) -> Response:
        try:
            await asyncio.wait_for(asyncio.to_thread(space.reach), READY_S)
        except TrunklineError as error:
            return PlainTextResponse(f"{error}\n", 503)
        except TimeoutError:
            return PlainTextResponse(f"the catalog does not answer within {READY_S:g} seconds\n", 503)
        return PlainTextResponse("ok\n")

    routes = [
        Route("/healthz", _healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        *(Route(path, _schema) for path in SCHEMA_PATHS),
    ]
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
