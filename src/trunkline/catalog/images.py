"""Queries on local images: content by digest, and names that point to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select

from trunkline.ambient import Micros
from trunkline.catalog.engine import Tx
from trunkline.catalog.tables_pfs import image_filesets, image_names, images


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image's content; `spec` is JSON as `pfs.images` writes it."""

    digest: str
    spec: str
    files: int
    size_bytes: int
    created_us: Micros


def insert_image(tx: Tx, row: ImageRow, filesets: Sequence[str]) -> None:
    """Add an image's content."""
    values = {"digest": row.digest, "spec": row.spec, "files": row.files, "size_bytes": row.size_bytes}
    tx.execute(insert(images).values(**values, created_us=row.created_us))
    for position, fileset in enumerate(filesets):
        tx.execute(insert(image_filesets).values(digest=row.digest, position=position, fileset=fileset))


def find_image(tx: Tx, digest: str) -> ImageRow | None:
    """One image by digest."""
    row = tx.execute(select(images).where(images.c.digest == digest)).first()
    return _image(row) if row else None


def filesets_of(tx: Tx, digest: str) -> list[str]:
    """The file sets with an image's content, oldest first."""
    query = select(image_filesets.c.fileset).where(image_filesets.c.digest == digest)
    return [row[0] for row in tx.execute(query.order_by(image_filesets.c.position)).all()]


def digest_of(tx: Tx, name: str) -> str | None:
    """What a name points to now."""
    row = tx.execute(select(image_names.c.digest).where(image_names.c.name == name)).first()
    return str(row[0]) if row else None


def list_names(tx: Tx, limit: int, after: str = "", *, reverse: bool = False) -> list[tuple[str, str]]:
    """A page of names with their digests, by name. after: an exclusive one; "": from the first on."""
    name = image_names.c.name
    query = select(name, image_names.c.digest).order_by(name.desc() if reverse else name).limit(limit)
    if after:
        query = query.where(name < after if reverse else name > after)
    return [(row[0], row[1]) for row in tx.execute(query).all()]


def point(tx: Tx, name: str, digest: str) -> None:
    """Make a name point to an image."""
    tx.execute(delete(image_names).where(image_names.c.name == name))
    tx.execute(insert(image_names).values(name=name, digest=digest, moved_us=tx.now_us))


def unpoint(tx: Tx, name: str) -> bool:
    """Take a name away; whether it was there."""
    known = digest_of(tx, name) is not None
    tx.execute(delete(image_names).where(image_names.c.name == name))
    return known


def _image(row: Row[Any]) -> ImageRow:
    return ImageRow(row.digest, row.spec, row.files, row.size_bytes, row.created_us)
