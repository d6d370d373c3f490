"""From what a person wrote to a spec: read, brought into canonical form, laid over defaults, checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.specs.canonical import Reader
from trunkline.model.specs.complaints import Complaint, Complaints, refusal
from trunkline.model.specs.rules import check
from trunkline.model.specs.schema import OWN, REQUEST
from trunkline.model.specs.spec import PipelineSpec
from trunkline.model.specs.texts import read_values

Form = dict[str, Any]
OWN_KEY = "trunkline"
_ANNOTATION = f"{OWN_KEY}/"
Below = Callable[[str], Sequence[Mapping[str, Any]]]
"""What lies below the specs of a project ("": of those that name none): canonical layers, the lowest first. A null in a
higher one deletes."""
_FOR_EDITORS = "$schema"
_REQUEST_ONLY = ("update", "reprocess", "dry_run")


@dataclass(frozen=True, slots=True)
class Written:
    """One spec in canonical form. user: what was written; effective: laid over the defaults, checked."""

    user: Form
    effective: Form

    @property
    def spec(self) -> PipelineSpec:
        """The typed spec."""
        return PipelineSpec.from_dict(self.effective)

    @property
    def request(self) -> Form:
        """What `CreatePipelineRequest` can carry of the effective spec: all but our own fields."""
        return {name: value for name, value in self.effective.items() if name != OWN_KEY}

    @property
    def kept(self) -> str:
        """What was written, as JSON, without what is about the call."""
        return json.dumps({name: value for name, value in self.user.items() if name not in _REQUEST_ONLY})

    def asks(self, flag: str) -> bool:
        """Whether the spec itself asks for `update`, `reprocess` or `dry_run`."""
        return flag in _REQUEST_ONLY and bool(self.effective.get(flag))


def nothing(_project: str) -> Sequence[Mapping[str, Any]]:
    """No defaults."""
    return ()


def read_specs(
    text: str, *, defaults: Below = nothing, what: str = "the pipeline spec", rules: bool = True
) -> list[Written]:
    """Every spec in a text of JSON or YAML.

    rules: also check which values go together, which a client may leave to the server, since only the server knows the
    defaults.
    Raises InvalidArgument with all complaints about all specs at once, each with its path, line and column.
    """
    found: list[Written] = []
    complaints: list[Complaint] = []
    seen: list[Complaints] = []
    for value, about in read_values(text, what):
        found.append(_written(value, about, defaults, rules=rules))
        # Members of one array share one list of complaints.
        if not any(other.found is about.found for other in seen):
            seen.append(about)
    for about in seen:
        complaints += about.found
    if complaints:
        raise refusal(complaints, what)
    return found


def read_spec(source: str | Mapping[str, Any], *, defaults: Below = nothing, rules: bool = True) -> Written:
    """One spec, from a text or from a message as a dict. Raises InvalidArgument with all complaints at once."""
    if isinstance(source, str):
        found = read_specs(source, defaults=defaults, rules=rules)
        if len(found) != 1:
            raise InvalidArgument(f"one pipeline spec was expected, found {len(found)}")
        return found[0]
    about = Complaints()
    written = _written(source, about, defaults, rules=rules)
    if about.found:
        raise refusal(about.found)
    return written


def merged(*layers: Mapping[str, Any]) -> Form:
    """Layers laid over one another, the lowest first, as RFC 7396 says: objects field by field, null deletes."""
    result: Form = {}
    for layer in layers:
        result = _patched(result, layer)
    return result


def warnings(spec: PipelineSpec) -> list[str]:
    """What is allowed but will surprise: names that our own variables win over."""
    found = []
    for noun, names in (
        ("input", [leaf.name for leaf in spec.leaves]),
        ("environment variable", list(spec.transform.env)),
    ):
        for name in dict.fromkeys(names):
            always = name == "HOME" or name.startswith(("PACH_", "PPS_"))
            if always or (noun == "input" and (name == "PATH" or name.startswith("LD_"))):
                found.append(f'the {noun} "{name}" has a name that is ours: the code sees our value of ${name}')
    return found


def _written(value: Any, about: Complaints, defaults: Below, *, rules: bool) -> Written:
    if isinstance(value, Mapping) and isinstance(value.get(_FOR_EDITORS), str):
        value = {name: inner for name, inner in value.items() if name != _FOR_EDITORS}
    user = Reader(about, keep_nulls=True).message(value, REQUEST)
    take_annotations(user, about)
    named = (user.get("pipeline") or {}).get("project") or {}
    effective = merged(*defaults(named.get("name", "")), user)
    if rules and isinstance(value, Mapping):
        check(effective, about)
    return Written(user, effective)


def take_annotations(form: Form, about: Complaints) -> None:
    """Move our own fields in a canonical form out of the annotations, where the older call carries them."""
    annotations = (form.get("metadata") or {}).get("annotations") or {}
    ours = {name: text for name, text in annotations.items() if name.startswith(_ANNOTATION)}
    if not ours:
        return
    values = {}
    for name, text in ours.items():
        del annotations[name]
        try:
            values[name.removeprefix(_ANNOTATION)] = json.loads(text)
        except ValueError:
            values[name.removeprefix(_ANNOTATION)] = text
    read = Reader(about).message(values, OWN, ("metadata", "annotations"))
    form[OWN_KEY] = {**read, **(form.get(OWN_KEY) or {})}
    if not annotations:
        del form["metadata"]["annotations"]


def _patched(below: Any, above: Any) -> Any:
    if isinstance(above, list):
        return [_patched(None, one) for one in above]  # a list is replaced whole, so its nulls delete nothing below
    if not isinstance(above, Mapping):
        return above
    result = dict(below) if isinstance(below, Mapping) else {}
    for name, value in above.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _patched(result.get(name), value)
    return result
