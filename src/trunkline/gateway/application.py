"""The HTTP application on the server's address."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from trunkline.model.specs.reference.jsonschema import shipped


def application() -> Starlette:
    """`/healthz` answers ok while the server serves; `/metrics` speaks Prometheus' text format.

    `/schemas/pipeline.json` is the JSON Schema of pipeline specs, for editors.
    """
    routes = [Route("/healthz", _healthz), Route("/metrics", _metrics), Route("/schemas/pipeline.json", _schema)]
    return Starlette(routes=routes)


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _metrics(_request: Request) -> Response:
    from prometheus_client import REGISTRY
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    return Response(generate_latest(REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})


async def _schema(_request: Request) -> Response:
    return Response(shipped(), media_type="application/schema+json")
