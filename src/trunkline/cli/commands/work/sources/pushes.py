"""Images of specs, before the specs are sent: built from their Dockerfiles, pushed, and named by tag and digest."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trunkline.cli.commands.work.sources.specfile import Spec
from trunkline.cli.late import credentials, image_names, progress, workbenches
from trunkline.cli.session import Session
from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from trunkline.client.pushing.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done with images. registry, username: as the options say. arguments: of the builds."""

    push: bool = False
    build: bool = False
    registry: str = ""
    username: str = ""
    arguments: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.push or self.build


def image_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What is to be done with images first, as one argument `wish`."""

    @functools.wraps(function)
    def wrapper(
        *args: Any,
        push_images: bool,
        build: bool,
        registry: str,
        username: str,
        build_arg: tuple[str, ...],
        **more: Any,
    ) -> Any:
        if (registry or username) and not push_images:
            raise click.UsageError("--registry and --username say where to push to; add --push-images")
        if build_arg and not build:
            raise click.UsageError("--build-arg is for builds; add --build")
        if more.get("dry_run") and (push_images or build):
            raise click.UsageError("a dry run changes nothing, so no image is built or pushed; leave out one of both")
        return function(*args, wish=Wish(push_images, build, registry, username, build_arg), **more)

    for option in (
        click.option("--build-arg", metavar="NAME=VALUE", multiple=True, help="An argument of the Dockerfile; repeat."),
        click.option(
            "--build",
            is_flag=True,
            help="Build each image first whose spec names a Dockerfile (transform.dockerfile, a file or a folder, "
            "beside the spec), all of whose folder the build sees.",
        ),
        click.option(
            "-u", "--username", metavar="NAME", default="", help="As whom to push; who is logged in, if not given."
        ),
        click.option(
            "-r",
            "--registry",
            metavar="HOST[/PATH]",
            default="",
            help="Where to push to; what the image's name says, or index.docker.io.",
        ),
        click.option(
            "-p",
            "--push-images",
            is_flag=True,
            help="Push each image from this machine's container engine under a tag of its own, and name that one in "
            "the spec.",
        ),
    ):
        wrapper = option(wrapper)
    return wrapper


def prepare(session: Session, found: list[Spec], wish: Wish, source: str | None) -> None:
    """Build and push the images of specs, and have the specs name what was pushed. source: where the specs are from.

    Nothing has been sent before this, so what fails here changes no pipeline.
    """
    images = {_image_of(spec): spec for spec in found}
    arguments = _arguments(wish.arguments)
    beside = Path(source).parent if source and Path(source).is_file() else Path()
    recipes = {}
    if wish.build:
        named = {image: spec["transform"].get("dockerfile", "") for image, spec in images.items()}
        recipes = {image: workbenches.find_recipe(told, beside) for image, told in named.items() if told}
        if not recipes:
            raise InvalidArgument("--build: no spec says where its Dockerfile lies; name it in transform.dockerfile")
    bench = workbenches.open_workbench(workbenches.socket_url(session.environ))
    for image, recipe in recipes.items():
        session.note(f"Building {image} from {recipe.dockerfile}")
        bench.build(recipe, image, arguments, lambda text: click.echo(text, nl=False, err=True))
    if wish.push:
        pushed = {image: _push(session, bench, image, wish) for image in images}
        for spec in found:
            spec["transform"]["image"] = pushed[_image_of(spec)]


def _push(session: Session, bench: Workbench, image: str, wish: Wish) -> str:
    """Push one image; the name by which nothing else will ever be found."""
    name = image_names.parse_image(image)
    tag = session.ambient.new_id()
    target = image_names.pushed_name(name, wish.registry, wish.username, tag)
    shown = credentials.credentials_for(target.host, wish.username, credentials.ask_on_terminal)
    if not target.registry and "/" not in target.path:
        target = image_names.pushed_name(name, wish.registry, shown.get("username", ""), tag)
    if not target.registry and "/" not in target.path:
        raise InvalidArgument(
            f'image "{image}" would go to Docker Hub, where names begin with who pushes them; give --username NAME, or '
            "another --registry"
        )
    with progress.layers(f"Pushing {image} to {target}") as told:
        digest = bench.push(image, target, shown, told)
    pinned = f"{target}@{digest}"
    session.note(f"Pushed {image} as {pinned}")
    return pinned


def _image_of(spec: Spec) -> str:
    """The image that a spec names. Raises InvalidArgument where it names none that can be built or pushed."""
    image = str((spec.get("transform") or {}).get("image", ""))
    name = image_names.parse_image(image)
    if image and name.path and not name.digest:
        return image
    why = f'"{image}" is pinned to a digest already' if name.digest else "it names none (transform.image)"
    raise InvalidArgument(
        f'the image of pipeline "{spec.get("pipeline", {}).get("name", "")}" cannot be built or pushed: {why}'
    )


def _arguments(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidArgument(f'"{pair}" is no argument for a Dockerfile; write NAME=VALUE')
        found[name] = value
    return found
