"""Where a spec says that output goes, in words."""

from __future__ import annotations

from trunkline.model.specs import Egress
from trunkline.storage.objects import shown


def named(egress: Egress) -> str:
    """The place, without what must stay secret."""
    return shown(egress.url)
