"""Pipeline specs between the messages of the older calls and the canonical form of `model.specs.forms`.

The form has the names of `pps_v2.CreatePipelineRequest`, so protobuf's own JSON reading and writing does the work.
Our own fields, which no public message has, travel in the older call as annotations `trunkline/…`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from trunkline.errors import InvalidArgument
from trunkline.wire.gen import pps_v2_pb2 as pps

M = TypeVar("M", bound=Message)
Form = dict[str, Any]

OWN_KEY = "trunkline"
OWN_PREFIX = "trunkline/"
NOT_SPEC = ("update", "reprocess", "dry_run", "details_json", "spec_commit", "tf_job")
"""Fields of the request that are about the call, not about the pipeline."""


def form_of(request: pps.CreatePipelineRequest) -> Form:
    """The spec in a request, in the canonical form's names; not checked."""
    form = MessageToDict(request, preserving_proto_field_name=True)
    for name in NOT_SPEC:
        form.pop(name, None)
    own = _own_fields(form)
    return form | ({OWN_KEY: own} if own else {})


def _own_fields(form: Form) -> Form:
    """Take our own fields out of the annotations. Values are JSON where they can be, else text."""
    metadata = form.get("metadata", {})
    annotations = metadata.get("annotations", {})
    own: Form = {}
    for key in [key for key in annotations if key.startswith(OWN_PREFIX)]:
        text = annotations.pop(key)
        try:
            own[key.removeprefix(OWN_PREFIX)] = json.loads(text)
        except ValueError:
            own[key.removeprefix(OWN_PREFIX)] = text
    if not annotations:
        metadata.pop("annotations", None)
    if not metadata:
        form.pop("metadata", None)
    return own


@lru_cache(maxsize=512)
def pipeline_details(spec: str) -> pps.PipelineInfo.Details:
    """The part of a pipeline's details that its spec (canonical form, as JSON) gives. Not to be changed: copy it."""
    return _filled(json.loads(spec), pps.PipelineInfo.Details())


@lru_cache(maxsize=512)
def job_details(spec: str) -> pps.JobInfo.Details:
    """The part of a job's details that its pipeline's spec gives. Not to be changed: copy it."""
    return _filled(json.loads(spec), pps.JobInfo.Details())


def _filled(form: Mapping[str, Any], message: M) -> M:
    known = message.DESCRIPTOR.fields_by_name
    ParseDict({name: value for name, value in form.items() if name in known}, message)
    return message


def input_of(message: pps.Input) -> Form:
    """An input in the canonical form's names; not checked."""
    return MessageToDict(message, preserving_proto_field_name=True)


def request_of(form: Mapping[str, Any]) -> pps.CreatePipelineRequest:
    """A request for the older call. Raises InvalidArgument where the form does not fit its message."""
    plain = {name: value for name, value in form.items() if name != OWN_KEY}
    request = pps.CreatePipelineRequest()
    try:
        ParseDict(plain, request)
    except ParseError as error:
        raise InvalidArgument(f"the spec cannot be sent in the older call: {error}") from error
    for name, value in form.get(OWN_KEY, {}).items():
        request.metadata.annotations[OWN_PREFIX + name] = value if isinstance(value, str) else json.dumps(value)
    return request
