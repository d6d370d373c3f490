"""Pipeline specs between the messages of the older calls and the canonical form of `model.specs.forms`.

The form has the names of `pps_v2.CreatePipelineRequest`, so protobuf's own JSON reading and writing does the work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, SerializeToJsonError
from google.protobuf.message import Message

from trunkline.errors import InvalidArgument
from trunkline.model.specs.canonical import camel
from trunkline.model.specs.writing import OWN_KEY
from trunkline.wire.gen import pps_v2_pb2 as pps

M = TypeVar("M", bound=Message)
Form = dict[str, Any]

NOT_SPEC = ("update", "reprocess", "dry_run", "details_json", "spec_commit")
"""Fields of the request that are about the call, not about the pipeline."""


def form_of(request: pps.CreatePipelineRequest) -> Form:
    """The spec in a request, in the canonical form's names, not checked. Raises InvalidArgument: impossible times."""
    form = _dict_of(request)
    for name in NOT_SPEC:
        form.pop(name, None)
    return form


def request_of(form: Mapping[str, Any]) -> pps.CreatePipelineRequest:
    """The message for a spec in canonical form; our own fields, which it does not have, travel as annotations."""
    known = {name: value for name, value in form.items() if name != OWN_KEY}
    message: pps.CreatePipelineRequest = _filled(known, pps.CreatePipelineRequest())
    for name, value in form.get(OWN_KEY, {}).items():
        message.metadata.annotations[f"{OWN_KEY}/{camel(name)}"] = json.dumps(value)
    return message


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
    """An input in the canonical form's names, not checked. Raises InvalidArgument for impossible times."""
    return _dict_of(message)


def _dict_of(message: Message) -> Form:
    try:
        return MessageToDict(message, preserving_proto_field_name=True)
    except SerializeToJsonError as error:  # a span or an instant that no calendar has
        raise InvalidArgument(f"the pipeline spec is invalid: {error}") from None
