"""Write the pages that code can tell better than people: docs/pachctl.md, docs/states.md, docs/errors.md,
docs/calls.md, docs/spec.md, docs/chart.md and the schema of specs that the package ships.

`make docs` writes them; a test compares, so that they never say what was true last month.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import yaml

from trunkline import api, errors
from trunkline.api.rpc.services import SERVICES
from trunkline.app.inside.door import Door as AtWorker
from trunkline.cli.chart.rendered import shipped
from trunkline.cli.entry import root
from trunkline.model import jobs
from trunkline.model.specs.reference.jsonschema import FILE, schema_text
from trunkline.model.specs.reference.page import page as fields_page

WORKERS_OWN = "pachyderm.worker.Worker"
ROOT = Path(__file__).resolve().parent.parent
NOTICE = "Written by tools/reference.py (`make docs`) from the code; change that, not this page.\n"
EVERYWHERE = ("  --no-color ", "  -v, --verbose ", "  --help ", "  -h, --help ")


def leaves(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command of a tree, in order, each with a context that knows its full name."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        if isinstance(command, click.Group):
            yield from leaves(command, inner)
        else:
            yield command, inner


def command_pages() -> str:
    """Every command of `pachctl`, with its arguments and options."""
    top = click.Context(root(), info_name="pachctl")
    parts = ["# pachctl, command by command\n", NOTICE, "Every command takes --no-color, -v/--verbose and --help.\n"]
    for command, context in leaves(root(), top):
        lines = [line.rstrip() for line in command.get_help(context).splitlines()]
        body = (
            "\n".join(line for line in lines if not line.startswith(EVERYWHERE)).rstrip().removesuffix("\n\nOptions:")
        )
        parts.append(f"## {context.command_path}\n\n```text\n{body}\n```\n")
    return "\n".join(parts)


def state_pages() -> str:
    """A diagram for each state machine."""
    parts = ["# States, and the moves between them\n", NOTICE]
    parts += [f"## {each.noun}\n\n```mermaid\n{each.diagram()}```\n" for each in jobs.MACHINES]
    return "\n".join(parts)


def error_pages() -> str:
    """Every kind of error and what a caller can do about it."""
    rows = [
        f"| `{each.__name__}` | {each.kind.value} | {' '.join((each.__doc__ or '').split())} |"
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.TrunklineError) and each is not errors.TrunklineError
    ]
    head = ["# Errors\n", NOTICE, "| error | kind | meaning |\n|---|---|---|"]
    return "\n".join(head + rows) + "\n"


def built_calls() -> set[tuple[str, str]]:
    """Service and name of every call that a door answers."""
    found = set()
    modules = [importlib.import_module(one.name) for one in pkgutil.walk_packages(api.__path__, f"{api.__name__}.")]
    for module in modules:
        for door in (one for name, one in vars(module).items() if name.endswith("Door") and isinstance(one, type)):
            defaults = {one.name: one.default for one in getattr(door, "__dataclass_fields__", {}).values()}
            service = str(defaults.get("service") or getattr(door, "service", ""))
            found |= {(service, name) for name in dir(door) if name[0].isupper()}
    found |= {(WORKERS_OWN, name) for name in vars(AtWorker) if name[0].isupper()}
    return found


def call_pages() -> str:
    """Every call of every service, and whether it is built."""
    built = built_calls()
    parts = [
        "# Calls of the gRPC interface\n",
        NOTICE,
        "Every call of the public clients is registered. One that is not built answers UNIMPLEMENTED with a sentence\n"
        "that names it and says what to do instead. Health and reflection are there as well.\n",
    ]
    for service in sorted(SERVICES, key=lambda one: one.full_name):
        names = [method.name for method in service.methods]
        there = [name for name in names if (service.full_name, name) in built]
        missing = [name for name in names if name not in there]
        lines = [f"## {service.full_name}\n"]
        lines += [f"{', '.join(there)}.\n"] if there else []
        lines += [f"Not built: {', '.join(missing)}.\n"] if missing else []
        lines += ["Each worker answers these on a port of its own.\n"] if service.full_name == WORKERS_OWN else []
        parts += lines
    return "\n".join(parts)


def spec_page() -> str:
    """Every field of a pipeline spec."""
    return fields_page(NOTICE)


def chart_page() -> str:
    """Every value of the chart, with its default and what values.yaml says of it."""
    parts = ["# The chart's values\n", NOTICE, "Installing by the chart: [kubernetes.md](kubernetes.md).\n"]
    rows = ["| value | default | |", "|---|---|---|"]
    path: list[str] = []
    about: list[str] = []
    for line in (shipped().folder / "values.yaml").read_text().splitlines():
        text = line.strip()
        if text.startswith("# "):
            about.append(text.removeprefix("# "))
        elif found := re.match(r"( *)(\w+): *(.*)", line):
            path[len(found[1]) // 2 :] = [found[2]]
            if about or found[3]:
                default = found[3] or "{requests: {cpu: 1, memory: 2Gi}}"
                told = " ".join(about).replace("|", "\\|")
                rows.append(f"| `{'.'.join(path)}` | `{default}` | {told} |")
            about = []
        elif not text:
            about = []
    return "\n".join([*parts, *rows, *_foreign_values()]) + "\n"


def _foreign_values() -> list[str]:
    """What becomes of values of Pachyderm's chart that have nothing to set here."""
    table = yaml.safe_load((shipped().folder / "pachyderm.yaml").read_text())
    rows = [
        "\n## Values of Pachyderm's chart without effect\n",
        "They may stay in a file of values. `pachctl render` and Helm's notes name those that were set.\n",
        "| value | why |",
        "|---|---|",
        *(f"| `{one['name']}` | {one['why']} |" for one in table["unused"]),
        "\n## Values of Pachyderm's chart that are refused\n",
        "With them the cluster would be another than was asked for.\n",
        "| value | where it is | |",
        "|---|---|---|",
    ]
    for one in table["refused"]:
        like = f"like `{one['like']}`".replace("|", "\\|") if "like" in one else "set, and not false"
        rows.append(f"| `{one['name']}` | {like} | {one['instead']} |")
    return rows


PAGES = {
    "docs/chart.md": chart_page,
    "docs/spec.md": spec_page,
    str(FILE.relative_to(ROOT)): schema_text,
    "docs/pachctl.md": command_pages,
    "docs/states.md": state_pages,
    "docs/errors.md": error_pages,
    "docs/calls.md": call_pages,
}


def main() -> None:
    """Write them all."""
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
