"""Where a spec says that output goes, in words."""

from __future__ import annotations

from trunkline.model.specs import Egress
from trunkline.storage.objects import shown


def named(egress: Egress) -> str:
    """The place, without what must stay secret."""
    if egress.sql is None:
        return shown(egress.url)
    from trunkline.storage.databases import shown_database  # a server that writes into none starts sooner without

    return shown_database(egress.sql.url)
