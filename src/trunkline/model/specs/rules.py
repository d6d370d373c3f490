"""Rules about whole specs in canonical form: what must be there, what excludes what, values that cannot be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT, check_branch, check_pipeline, check_project
from trunkline.model.paths import quoted
from trunkline.model.specs.complaints import Complaints, Path
from trunkline.model.specs.inputrules import InputRules, Place
from trunkline.model.specs.inputrules import branches as input_branches

Form = Mapping[str, Any]

SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer")
STORES = ("s3", "gs", "gcs", "wasb", "wasbs", "as")
DATABASES = ("postgres", "postgresql", "mysql", "snowflake", "sqlite")
NODE_PORTS = range(30000, 32768)
_URL = re.compile(r"(?:([a-z][a-z0-9+.-]*)://[^/?#\s]+|(sqlite)://(?=/))[^\s]*\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?\Z")
_VARIABLE = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*\Z")
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
_LABEL_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")
NO_INPUT = (
    "a pipeline needs an input, unless it is a spout; if you meant a spout and sent it with the Python SDK, "
    "the client dropped the empty spout: give it a service, or send the spec as JSON"
)


def check(spec: Form, complaints: Complaints) -> None:
    """Complain about all that is wrong with a spec in canonical form."""
    rules = _Rules(spec, complaints)
    rules.pipeline()
    rules.transform()
    rules.input()
    rules.kind_of_pipeline()
    rules.egress()
    rules.numbers()
    rules.datum_sets()
    rules.cluster()
    rules.own()


class _Rules:
    def __init__(self, spec: Form, complaints: Complaints) -> None:
        self.spec = spec
        self.complaints = complaints
        named = spec.get("pipeline", {})
        self.name = named.get("name", "")
        self.project = named.get("project", {}).get("name") or DEFAULT_PROJECT

    def complain(self, path: Path, text: str) -> None:
        """Pass a complaint on."""
        self.complaints.add(path, text)

    def missing(self, path: Path, text: str) -> None:
        """Complain that something is not there, unless what was there was complained about."""
        if not self.complaints.about(path):
            self.complain(path, text)

    def checked(self, path: Path, check: Callable[[], object]) -> None:
        """Complain with what `check` raises."""
        try:
            check()
        except (InvalidArgument, ValueError) as error:
            self.complain(path, str(error))

    def pipeline(self) -> None:
        """Name and project."""
        self.checked(("pipeline", "project", "name"), lambda: check_project(self.project))
        if self.name:
            self.checked(("pipeline", "name"), lambda: check_pipeline(self.name, self.project))
        else:
            self.missing(("pipeline", "name"), "a pipeline needs a name")
        if self.spec.get("output_branch"):
            self.checked(("output_branch",), lambda: check_branch(self.spec["output_branch"]))
        if "tf_job" in self.spec:
            self.complain(("tf_job",), "jobs of TensorFlow's operator are not supported; give a transform")

    def transform(self) -> None:
        """What runs."""
        transform = self.spec.get("transform")
        if transform is None:
            self.missing(("transform",), "a pipeline must specify a transform")
            return
        cmd = transform.get("cmd", [])
        endless = "spout" in self.spec or "service" in self.spec
        if not cmd and not endless:
            self.missing(("transform", "cmd"), "a transform must specify a cmd; the image's own command is not used")
        for field in ("cmd", "err_cmd"):
            if transform.get(field) and not transform[field][0]:
                self.complain(("transform", field, 0), "the program to run cannot be empty")
            for n, word in enumerate(transform.get(field, [])):
                if "\0" in word:
                    self.complain(("transform", field, n), "an argument cannot hold a NUL character")
        for name, value in transform.get("env", {}).items():
            self.variable(name, ("transform", "env", name))
            if "\0" in value:
                self.complain(("transform", "env", name), "its value cannot hold a NUL character")
        for n, code in enumerate(transform.get("accept_return_code", [])):
            if not 0 <= code <= 255:
                self.complain(("transform", "accept_return_code", n), f"{code} is not an exit code: they are 0 to 255")
        if transform.get("user") and not _USER.match(transform["user"]):
            self.complain(
                ("transform", "user"), f'expected "user", "user:group" or numbers, found {quoted(transform["user"])}'
            )
        for n, secret in enumerate(transform.get("secrets", [])):
            self.secret(secret, ("transform", "secrets", n))

    def variable(self, name: str, path: Path) -> None:
        """The name of an environment variable."""
        if not _VARIABLE.match(name):
            self.complain(
                path,
                f"{quoted(name)} cannot name an environment variable: letters, digits, underscores, dashes and periods "
                "are allowed, and no digit in front",
            )

    def secret(self, secret: Form, path: Path) -> None:
        """A secret for user code."""
        if not secret.get("name"):
            self.missing((*path, "name"), "a secret needs a name")
        if not secret.get("mount_path") and not secret.get("env_var"):
            self.missing((*path, "mount_path"), "a secret needs a mount_path or an env_var")
        if secret.get("env_var") and not secret.get("key"):
            self.missing((*path, "key"), "a secret with an env_var needs a key")
        if secret.get("env_var"):
            self.variable(secret["env_var"], (*path, "env_var"))

    def input(self) -> None:
        """What it reads."""
        node = self.spec.get("input")
        if node:
            InputRules(self.complaints, self.project, self.name).check(node, Place(("input",)))
            read: dict[tuple[str, ...], str] = {}
            for *repo, branch in input_branches(node, self.project, self.name):
                other = read.setdefault(tuple(repo), branch)
                if other != branch:
                    self.complain(
                        ("input",),
                        f"it reads two branches of repo {quoted(repo[1])}, {quoted(other)} and {quoted(branch)}; two "
                        "branches of one repo cannot take part in one DAG: copy one of them to a repo of its own",
                    )
        elif "spout" not in self.spec:
            self.missing(("input",), NO_INPUT)

    def kind_of_pipeline(self) -> None:
        """Spout, service or neither, and what they exclude."""
        spout, service = self.spec.get("spout"), self.spec.get("service")
        if spout is not None:
            if self.spec.get("input") and not spout.get("service"):
                self.complain(("input",), "a spout has no input; it makes its own commits")
            for field in ("service", "autoscaling", "s3_out"):
                if self.spec.get(field):
                    self.complain((field,), "it cannot be combined with spout")
            if spout.get("service") is not None:
                self.service(spout["service"], ("spout", "service"))
        elif service is not None:
            if self.spec.get("s3_out"):
                self.complain(("s3_out",), "it cannot be combined with service")
            self.service(service, ("service",))
        if service is not None and self.spec.get("parallelism_spec", {}).get("constant", 1) > 1:
            self.complain(
                ("parallelism_spec", "constant"), "a service has exactly one worker: leave it out, or write 1"
            )
        if self.spec.get("maximum_expected_uptime") and not self.spec.get("autoscaling"):
            self.complain(("maximum_expected_uptime",), "it only means something with autoscaling")
        if self.spec.get("reprocess_spec") not in (None, "", "until_success", "every_job"):
            self.complain(
                ("reprocess_spec",),
                f'expected "until_success" or "every_job", found {quoted(self.spec["reprocess_spec"])}',
            )

    def service(self, service: Form, path: Path) -> None:
        """A port."""
        kind = service.get("type") or "NodePort"
        if kind not in SERVICE_TYPES:
            self.complain((*path, "type"), f"expected one of {', '.join(SERVICE_TYPES)}, found {quoted(kind)}")
        internal, external = service.get("internal_port", 0), service.get("external_port", 0)
        if not internal:
            self.missing((*path, "internal_port"), "a service needs an internal_port, on which the code listens")
        elif not 0 < internal < 65536:
            self.complain((*path, "internal_port"), f"{internal} is not a port: they are 1 to 65535")
        if external and not 0 < external < 65536:
            self.complain((*path, "external_port"), f"{external} is not a port: they are 1 to 65535")
        elif external and kind == "NodePort" and external not in NODE_PORTS:
            self.complain((*path, "external_port"), f"{external} is not a port of a node: they are 30000 to 32767")

    def egress(self) -> None:
        """Where output goes."""
        egress = self.spec.get("egress")
        if egress is None:
            return
        targets = [name for name in ("URL", "object_storage", "sql_database") if egress.get(name)]
        if len(targets) != 1:
            found = f"found {' and '.join(targets)}" if targets else "found none"
            self.missing(("egress",), f"egress goes to exactly one of URL, object_storage, sql_database; {found}")
        for path, url in (
            (("egress", "URL"), egress.get("URL")),
            (("egress", "object_storage", "url"), egress.get("object_storage", {}).get("url")),
        ):
            if url:
                self.url(path, url, STORES)
        if "object_storage" in targets and not egress["object_storage"].get("url"):
            self.missing(("egress", "object_storage", "url"), "egress needs a URL")
        if "sql_database" in egress:
            self.sql(egress["sql_database"], ("egress", "sql_database"))

    def sql(self, sql: Form, path: Path) -> None:
        """A database to write into."""
        if sql.get("url"):
            if self.url((*path, "url"), sql["url"], DATABASES):
                self.database((*path, "url"), sql["url"])
        else:
            self.missing((*path, "url"), "egress needs a URL")
        kind = sql.get("file_format", {}).get("type", "UNKNOWN")
        if kind not in ("CSV", "JSON", "PARQUET"):
            self.missing((*path, "file_format", "type"), f"expected CSV, JSON or PARQUET, found {kind}")
        for field in ("name", "key") if not sql.get("url", "").startswith("sqlite:") else ():
            if not sql.get("secret", {}).get(field):
                self.missing((*path, "secret", field), "the password comes from a secret: its name and key are needed")

    def database(self, path: Path, url: str) -> None:
        """What is wrong with the URL of a database whatever there is at that address."""
        scheme, _, rest = url.partition("://")
        where, _, name = rest.partition("?")[0].partition("/")
        login, _, host = where.rpartition("@")
        if ":" in login:
            self.complain(path, "a URL holds no password: put it into a secret, and name that")
        elif scheme == "sqlite" and not (name.startswith("/") and not where):
            self.complain(path, "give the whole path of the file on the server, as sqlite:////data/file.db")
        elif scheme != "sqlite" and not (host and name):
            self.complain(path, f"it names no host or no database: write {scheme}://USER@HOST/DATABASE")

    def url(self, path: Path, url: str, schemes: tuple[str, ...]) -> bool:
        """A URL of one of some kinds; whether it is."""
        found = _URL.match(url)
        if found and (found[1] or found[2]) in schemes:
            return True
        self.complain(path, f"expected a URL that starts with one of {', '.join(schemes)}, found {quoted(url)}")
        return False

    def numbers(self) -> None:
        """Numbers that cannot be negative or exclude one another."""
        if self.spec.get("datum_tries", 0) < 0:
            self.complain(("datum_tries",), "a number of attempts cannot be negative")

    def datum_sets(self) -> None:
        """Bounds of datum sets."""
        bounds = self.spec.get("datum_set_spec", {})
        for field in ("number", "size_bytes", "per_worker"):
            if bounds.get(field, 0) < 0:
                self.complain(("datum_set_spec", field), "it cannot be negative")
        for field in ("number", "size_bytes"):
            if bounds.get("per_worker") and bounds.get(field):
                self.complain(("datum_set_spec", "per_worker"), f"it cannot be combined with {field}")

    def own(self) -> None:
        """Our own fields."""
        own = self.spec.get("trunkline", {})
        skips = own.get("on_failure") == "skip"
        if own.get("limit") and not skips:
            self.complain(("trunkline", "limit"), 'it says how many datums may fail: write "onFailure": "skip" too')
        if skips and ("service" in self.spec or "spout" in self.spec):
            self.complain(("trunkline", "on_failure"), "a service or a spout has no datums to skip")

    def cluster(self) -> None:
        """What only a cluster acts on."""
        for field, kind, noun in (("pod_spec", dict, "PodSpec"), ("pod_patch", list, "PodPatch")):
            text = self.spec.get(field)
            if text:
                try:
                    good = isinstance(json.loads(text), kind)
                    why = f"expected a JSON {'object' if kind is dict else 'array'} in a string"
                except (ValueError, RecursionError) as error:
                    good, why = False, str(error)
                if not good:
                    self.complain((field,), f"malformed {noun}: {why}")
        for n, one in enumerate(self.spec.get("tolerations", [])):
            if one.get("operator", "EMPTY") == "EMPTY":
                self.missing(("tolerations", n, "operator"), "a toleration needs an operator, EXISTS or EQUAL")
        for name, value in self.spec.get("metadata", {}).get("labels", {}).items():
            prefix, slash, last = name.rpartition("/")
            if not last or not _LABEL.match(last) or (slash and not _LABEL_PREFIX.match(prefix)):
                self.complain(("metadata", "labels", name), f"{quoted(name)} cannot be the key of a Kubernetes label")
            elif not _LABEL.match(value):
                self.complain(
                    ("metadata", "labels", name), f"{quoted(value)} cannot be the value of a Kubernetes label"
                )
        for field in ("resource_requests", "resource_limits", "sidecar_resource_requests", "sidecar_resource_limits"):
            gpu = self.spec.get(field, {}).get("gpu", {})
            if gpu and not (gpu.get("type") and gpu.get("number", 0) > 0):
                self.complain(
                    (field, "gpu"), 'a gpu needs a type, such as "nvidia.com/gpu", and a number of at least 1'
                )
