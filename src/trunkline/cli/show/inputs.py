"""A pipeline's input on one line: `(images:/* ⨯ edges:/)`."""

from __future__ import annotations

from trunkline.wire.gen import pps_v2_pb2 as pps

_SIGNS = (("cross", " ⨯ "), ("union", " ∪ "), ("join", " ⋈ "))


def shorthand(input: pps.Input, project: str = "") -> str:
    """The input in short. `project` is the pipeline's own; inputs of others are shown with theirs."""
    if input.HasField("pfs"):
        one = input.pfs
        owner = f"{one.project}/" if one.project else f"{project}/" if project else ""
        return f"{owner}{one.repo}:{one.glob}"
    if input.HasField("cron"):
        return f"{input.cron.name}:{input.cron.spec}"
    for field, sign in _SIGNS:
        members = getattr(input, field)
        if members:
            return f"({sign.join(shorthand(member, project) for member in members)})"
    if input.group:
        return f"(Group: {', '.join(shorthand(member, project) for member in input.group)})"
    return "none"
