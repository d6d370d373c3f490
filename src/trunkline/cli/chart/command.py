"""The server for a cluster, as manifests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli.options import command

if TYPE_CHECKING:
    from trunkline.cli.chart.rendered import Cluster

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command()
@click.option("-f", "--values", "files", metavar="FILE", multiple=True, type=_FILE, help="Values; later files win.")
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="One value, as in pachd.replicas=2.")
@click.option("--set-string", "texts", metavar="NAME=VALUE", multiple=True, help="One value that stays a text.")
@click.option("-n", "--namespace", metavar="NAME", default="default", help="Where all of it is to be; default.")
@click.option("--name", metavar="NAME", default="trunkline", help="The name of the release; trunkline.")
@click.option("--kube-version", metavar="VERSION", default="1.30", help="The cluster's version; 1.30.")
@click.option("--show-values", is_flag=True, help="Print all values with their defaults and meaning instead.")
def render(
    files: tuple[Path, ...],
    settings: tuple[str, ...],
    texts: tuple[str, ...],
    namespace: str,
    name: str,
    kube_version: str,
    show_values: bool,
) -> None:
    """Print the manifests that the chart makes of values, for `kubectl apply -f -`.

    They are what `helm template` prints of deploy/helm/trunkline, and neither Helm nor a cluster is needed. With the
    same values they are the same. A comment before them names each value of Pachyderm's chart that was given and has
    no effect here.
    """
    from trunkline.cli.chart.rendered import shipped
    from trunkline.cli.chart.values import read

    chart = shipped()
    if show_values:
        click.echo((chart.folder / "values.yaml").read_text(), nl=False)
        return
    values = read(files, settings, texts)
    manifests = chart.manifests(values, name, namespace, _cluster(kube_version))
    for line in chart.unused(values):
        click.echo(f"# {line}")
    for text in manifests:
        click.echo(text, nl=False)


def _cluster(version: str) -> Cluster:
    from trunkline.cli.chart.rendered import Cluster

    return Cluster(version if version.startswith("v") else f"v{version}")
