"""Between a spec's typed values and its canonical form: a dict in the names of `pps_v2.CreatePipelineRequest`.

Our own fields stand under `trunkline`; without that key the form is what protobuf's JSON reader takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from trunkline.ambient import Micros
from trunkline.model.infos import Trigger
from trunkline.model.names import DEFAULT_PROJECT, MASTER, USER_REPO, Pipeline
from trunkline.model.specs import spec as tree
from trunkline.model.specs.scalars import instant_text, instant_us, span_text, span_us
from trunkline.model.specs.spec import Combination, CronInput, Input, PfsInput, PipelineSpec

COMBINATIONS: tuple[Literal["cross", "union", "join", "group"], ...] = ("cross", "union", "join", "group")
Form = dict[str, Any]


def spec_from(form: Mapping[str, Any]) -> PipelineSpec:
    """The typed spec of a canonical form."""
    named = form.get("pipeline", {})
    pipeline = Pipeline(named.get("project", {}).get("name") or DEFAULT_PROJECT, named.get("name", ""))
    parallelism = form.get("parallelism_spec")
    scheduling = form.get("scheduling_spec", {})
    metadata = form.get("metadata", {})
    return PipelineSpec(
        pipeline=pipeline,
        transform=_transform(form.get("transform", {})),
        input=input_from(form["input"], pipeline) if form.get("input") else None,
        description=form.get("description", ""),
        output_branch=form.get("output_branch") or MASTER,
        parallelism=None if parallelism is None else parallelism.get("constant") or 1,
        egress=_egress(form["egress"]) if form.get("egress") else None,
        s3_out=form.get("s3_out", False),
        resource_requests=_resources(form.get("resource_requests")),
        resource_limits=_resources(form.get("resource_limits")),
        sidecar_resource_requests=_resources(form.get("sidecar_resource_requests")),
        sidecar_resource_limits=_resources(form.get("sidecar_resource_limits")),
        service=_service(form.get("service")),
        spout=tree.Spout(_service(form["spout"].get("service"))) if "spout" in form else None,
        datum_set_spec=tree.DatumSetSpec(**form.get("datum_set_spec", {})),
        datum_timeout_us=_span(form, "datum_timeout"),
        job_timeout_us=_span(form, "job_timeout"),
        salt=form.get("salt", ""),
        datum_tries=form.get("datum_tries") or tree.DEFAULT_TRIES,
        node_selector=dict(scheduling.get("node_selector", {})),
        priority_class_name=scheduling.get("priority_class_name", ""),
        pod_spec=form.get("pod_spec", ""),
        pod_patch=form.get("pod_patch", ""),
        every_job=form.get("reprocess_spec") == "every_job",
        autoscaling=form.get("autoscaling", False),
        tolerations=tuple(_toleration(one) for one in form.get("tolerations", [])),
        workspaces=tuple(form.get("determined", {}).get("workspaces", [])),
        maximum_expected_uptime_us=_span(form, "maximum_expected_uptime"),
        annotations=dict(metadata.get("annotations", {})),
        labels=dict(metadata.get("labels", {})),
        own=tree.Own(**form.get("trunkline", {})),
    )


def input_from(form: Mapping[str, Any], pipeline: Pipeline) -> Input:
    """The typed input of a canonical form; `pipeline` gives the project, and the names of tick repos."""
    for kind in COMBINATIONS:
        if form.get(kind):
            return Combination(kind, tuple(input_from(member, pipeline) for member in form[kind]))
    if "cron" in form:
        cron = dict(form["cron"])
        start = cron.pop("start", "")
        cron["repo"] = cron.get("repo") or f"{pipeline.name}_{cron.get('name', '')}"
        cron["project"] = cron.get("project") or pipeline.project
        return CronInput(**cron, start_us=instant_us(start) if start else None)
    pfs = dict(form.get("pfs", {}))
    pfs["project"] = pfs.get("project") or pipeline.project
    pfs["name"] = pfs.get("name") or pfs.get("repo", "")
    pfs["branch"] = pfs.get("branch") or (trigger_branch(pipeline.name) if "trigger" in pfs else MASTER)
    pfs["repo_type"] = pfs.get("repo_type") or USER_REPO
    pfs["never"] = pfs.pop("propagation_spec", {}).get("never", False)
    trigger = pfs.pop("trigger", None)
    return PfsInput(**pfs, trigger=None if trigger is None else _trigger(trigger))


def trigger_branch(pipeline: str) -> str:
    """The branch that an input with a trigger reads where none is named. A pipeline reads one branch of a repo only."""
    return f"{pipeline}-trigger-1"


def dict_from(spec: PipelineSpec) -> Form:
    """The canonical form of a typed spec; what says nothing is left out, defaults that work are written out."""
    form: Form = {
        "pipeline": {"name": spec.pipeline.name, "project": {"name": spec.pipeline.project}},
        "description": spec.description,
        "metadata": _said({"annotations": dict(spec.annotations), "labels": dict(spec.labels)}),
        "transform": _transform_form(spec.transform),
        "input": input_form(spec.input) if spec.input else {},
        "output_branch": spec.output_branch,
        "parallelism_spec": {"constant": spec.parallelism} if spec.parallelism else {},
        "egress": _egress_form(spec.egress),
        "s3_out": spec.s3_out,
        "datum_set_spec": _said(_fields(spec.datum_set_spec)),
        "datum_timeout": span_text(spec.datum_timeout_us) if spec.datum_timeout_us else "",
        "job_timeout": span_text(spec.job_timeout_us) if spec.job_timeout_us else "",
        "salt": spec.salt,
        "datum_tries": spec.datum_tries,
        "scheduling_spec": _said(
            {"node_selector": dict(spec.node_selector), "priority_class_name": spec.priority_class_name}
        ),
        "pod_spec": spec.pod_spec,
        "pod_patch": spec.pod_patch,
        "reprocess_spec": "every_job" if spec.every_job else "until_success",
        "autoscaling": spec.autoscaling,
        "tolerations": [_toleration_form(one) for one in spec.tolerations],
        "determined": _said({"workspaces": list(spec.workspaces)}),
        "maximum_expected_uptime": span_text(spec.maximum_expected_uptime_us)
        if spec.maximum_expected_uptime_us
        else "",
        "trunkline": _said(_fields(spec.own)),
    }
    form = _said(form)
    # These say something even when they are empty: no resources asked for, a spout without a port.
    for name in ("resource_requests", "resource_limits", "sidecar_resource_requests", "sidecar_resource_limits"):
        resources: tree.Resources | None = getattr(spec, name)
        if resources is not None:
            form[name] = _resources_form(resources)
    if spec.service is not None:
        form["service"] = _said(_fields(spec.service))
    if spec.spout is not None:
        form["spout"] = {"service": _said(_fields(spec.spout.service))} if spec.spout.service else {}
    return form


def input_form(node: Input) -> Form:
    """The canonical form of an input."""
    if isinstance(node, Combination):
        return {node.kind: [input_form(member) for member in node.members]}
    if isinstance(node, CronInput):
        cron = _fields(node)
        start = cron.pop("start_us")
        cron["start"] = instant_text(start) if start is not None else ""
        return {"cron": _said(cron)}
    pfs = _fields(node)
    trigger, never = pfs.pop("trigger"), pfs.pop("never")
    pfs["trigger"] = _said(_fields(trigger)) if trigger else {}
    pfs["propagation_spec"] = {"never": True} if never else {}
    return {"pfs": _said(pfs)}


def _trigger(form: Mapping[str, Any]) -> Trigger:
    values: Form = {"branch": MASTER, **form}
    return Trigger(**values)


def _transform(form: Mapping[str, Any]) -> tree.Transform:
    values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in form.items()}
    values["secrets"] = tuple(tree.SecretMount(**secret) for secret in form.get("secrets", []))
    values["image"] = form.get("image") or tree.DEFAULT_IMAGE
    values["env"] = dict(form.get("env", {}))
    return tree.Transform(**values)


def _transform_form(transform: tree.Transform) -> Form:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in _fields(transform).items()}
    values["secrets"] = [_said(_fields(secret)) for secret in transform.secrets]
    values["env"] = dict(transform.env)
    return _said(values)


def _resources(form: Mapping[str, Any] | None) -> tree.Resources | None:
    if form is None:
        return None
    gpu = form.get("gpu")
    return tree.Resources(
        cpu=float(form.get("cpu", 0.0)),
        memory=form.get("memory", ""),
        disk=form.get("disk", ""),
        gpu=tree.Gpu(gpu.get("type", ""), gpu.get("number", 0)) if gpu else None,
    )


def _resources_form(resources: tree.Resources) -> Form:
    return _said({**_fields(resources), "gpu": _fields(resources.gpu) if resources.gpu else {}})


def _service(form: Mapping[str, Any] | None) -> tree.Service | None:
    if form is None:
        return None
    values: Form = {"internal_port": 0, **form, "type": form.get("type") or "NodePort"}
    return tree.Service(**values)


def _egress(form: Mapping[str, Any]) -> tree.Egress:
    sql = form.get("sql_database")
    if sql is None:
        return tree.Egress(url=form.get("URL") or form.get("object_storage", {}).get("url", ""))
    layout, secret = sql.get("file_format", {}), sql.get("secret", {})
    return tree.Egress(
        sql=tree.SqlEgress(
            url=sql.get("url", ""),
            format=layout.get("type", ""),
            columns=tuple(layout.get("columns", [])),
            secret_name=secret.get("name", ""),
            secret_key=secret.get("key", ""),
        )
    )


def _egress_form(egress: tree.Egress | None) -> Form:
    if egress is None or egress.sql is None:
        return {"URL": egress.url} if egress else {}
    sql = egress.sql
    return {
        "sql_database": {
            "url": sql.url,
            "file_format": _said({"type": sql.format, "columns": list(sql.columns)}),
            "secret": _said({"name": sql.secret_name, "key": sql.secret_key}),
        }
    }


def _toleration(form: Mapping[str, Any]) -> tree.Toleration:
    values = dict(form)
    seconds = values.pop("toleration_seconds", None)
    return tree.Toleration(**values, seconds=seconds)


def _toleration_form(toleration: tree.Toleration) -> Form:
    form = _fields(toleration)
    seconds = form.pop("seconds")
    return _said(form) | ({} if seconds is None else {"toleration_seconds": seconds})


def _span(form: Mapping[str, Any], name: str) -> Micros:
    return span_us(form[name]) if form.get(name) else 0


def _fields(value: Any) -> Form:
    return {name: getattr(value, name) for name in value.__slots__}


def _said(form: Form) -> Form:
    """`form` without what says nothing: empty texts, lists and messages, zeros, false."""
    return {
        name: value for name, value in form.items() if value not in ("", 0, False, None) and value not in ([], {}, ())
    }
