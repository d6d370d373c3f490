"""Tasks for the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping

from trunkline.wire.gen import taskapi_pb2 as taskapi


def wanted(request: taskapi.ListTaskRequest, namespace: str, group: str) -> bool:
    """Whether a request asks for tasks of that group: an empty namespace or group is any."""
    asked = request.group
    return asked.namespace in ("", namespace) and asked.group in ("", group)


def task_info(
    id_: str, namespace: str, group: str, *, claimed: bool, what: str, data: Mapping[str, object]
) -> taskapi.TaskInfo:
    """One task that has not ended."""
    return taskapi.TaskInfo(
        id=id_,
        group=taskapi.Group(namespace=namespace, group=group),
        state=taskapi.CLAIMED if claimed else taskapi.RUNNING,
        input_type=what,
        input_data=json.dumps(data),
    )
