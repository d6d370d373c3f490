"""Terms of a leader, seen from one server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.app.leading.terms import LEASE_US, Leading
from trunkline.catalog.engine import Catalog
from trunkline.catalog.shared import leading as leader_rows
from trunkline.errors import Unavailable
from trunkline.testing.catalogs import open_catalog


def test_a_term_that_could_not_begin_is_not_kept(tmp_path: Path) -> None:
    """Else this server would hold the lease for ever, with nobody to run jobs."""
    clock, began = SimulatedAmbient(1), list[str]()

    def begin(catalog: Catalog) -> Any:
        began.append("")
        if len(began) == 1:
            raise Unavailable("the disk is full")
        return lambda: began.append("ended")

    with open_catalog(tmp_path, clock, rehearse=False) as catalog:
        files: Any = SimpleNamespace(catalog=catalog, keep=lambda: None)
        server = Leading(files, "here", begin)
        with pytest.raises(Unavailable):
            server._look()
        server._look()
        assert began == [""]  # the lease of that term has not run out
        clock.advance(LEASE_US / 1e6 + 1)
        server._look()
        clock.advance(LEASE_US / 2e6)
        server._look()
        found = catalog.read(leader_rows.get_leader)
        assert (found and found.epoch, began) == (2, ["", ""])
        server.stop()
        assert began[-1] == "ended"
