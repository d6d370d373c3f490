"""What probes are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trunkline.errors import Unavailable
from trunkline.gateway import application as gateway


class Reached:
    """Stands for `Space`."""

    def __init__(self, wrong: Exception | None) -> None:
        self.wrong = wrong

    def reach(self) -> None:
        if self.wrong is not None:
            raise self.wrong


def get(application: Any, path: str) -> tuple[int, bytes]:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


@pytest.mark.parametrize(
    ("wrong", "status", "told"),
    [(None, 200, b"ok\n"), (Unavailable("the database is away"), 503, b"the database is away\n")],
)
def test_a_server_without_its_rows_lives_and_is_not_ready(wrong: Any, status: int, told: bytes) -> None:
    space: Any = Reached(wrong)
    links: Any = None
    made = gateway.application(space, links)
    assert get(made, "/readyz") == (status, told)
    assert get(made, "/healthz") == (200, b"ok\n")
