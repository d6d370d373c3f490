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


def test_a_leader_that_was_killed_leads_again_as_soon_as_it_is_back(tmp_path: Path) -> None:
    """Only for another server the lease must have run out."""

    def term_of(name: str, catalog: Catalog) -> Leading:
        files: Any = SimpleNamespace(catalog=catalog, keep=lambda: None)
        server = Leading(files, name, lambda _: lambda: None)
        server._look()
        return server

    with open_catalog(tmp_path, SimulatedAmbient(1), rehearse=False) as catalog:
        killed = term_of("here", catalog)
        other = term_of("there", catalog)
        assert (killed._epoch, other._epoch) == (1, None)
        back = term_of("here", catalog)
        assert back._epoch == 2
        other._look()
        killed._look()
        assert (other._epoch, killed._epoch) == (None, None)
        back._look()
        found = catalog.read(leader_rows.get_leader)
        assert found
        assert (found.epoch, found.holder) == (2, "here")
