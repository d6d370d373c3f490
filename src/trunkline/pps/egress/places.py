"""Where a spec says that output goes, in words."""

from __future__ import annotations

from trunkline.model.specs import Egress
from trunkline.storage.databases import shown_database
from trunkline.storage.objects import shown


def named(egress: Egress) -> str:
    """The place, without what must stay secret."""
    return shown_database(egress.sql.url) if egress.sql is not None else shown(egress.url)
