"""Files of a commit written as rows into a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trunkline.pfs.files import Files
from trunkline.pfs.outside.fetching import always
from trunkline.pfs.reads import Source

if TYPE_CHECKING:
    from trunkline.storage.databases import Layout


def send_rows(
    files: Files, source: Source, url: str, password: str, layout: Layout, wanted: Callable[[], bool] = always
) -> dict[str, int]:
    """Make the tables that a commit's first folders name mirror its files; the number of rows of each.

    In one transaction of the database: other tables stay as they are. Raises what `open_database` and `write_rows` do.
    """
    from trunkline.storage.databases import open_database, write_rows  # brings three databases' words along

    database = open_database(url, password, files.catalog.folder)
    return write_rows(database, source.view.contents("/"), layout, wanted)
