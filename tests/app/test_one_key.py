"""Servers on one database have one key of all secrets, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trunkline.ambient import RealAmbient
from trunkline.app.identity import Identity, open_vault
from trunkline.catalog.engine import Catalog
from trunkline.catalog.shared import identity
from trunkline.errors import DataLoss, FailedPrecondition


@pytest.fixture
def catalog(tmp_path: Path) -> Any:
    """A catalog that says it is shared."""
    opened = Catalog.open(tmp_path / "catalog", RealAmbient())
    who = Identity("c" * 32, "d" * 32, "s3://b")
    opened.transact(lambda tx: identity.agree(tx, who.cluster_id, who.deployment_id, who.storage, ""))

    class Shared:
        alone = False
        transact: Callable[..., Any] = staticmethod(opened.transact)

    yield Shared()
    opened.close()


def test_the_first_key_is_that_of_all(catalog: Any, tmp_path: Path) -> None:
    ambient = RealAmbient()
    one = open_vault(catalog, tmp_path / "one.key", ambient, given=False)
    two = open_vault(catalog, tmp_path / "two.key", ambient, given=False)
    assert not one.path.exists()
    sealed = one.seal("db", b"x")
    with pytest.raises(FailedPrecondition, match="not that of the other servers of this database"):
        two.seal("db", b"y")
    assert not two.path.exists()  # nothing was encrypted with it
    two.path.write_bytes(one.path.read_bytes())
    assert open_vault(catalog, two.path, ambient, given=False).open("db", sealed) == b"x"


def test_a_server_with_another_key_does_not_start(catalog: Any, tmp_path: Path) -> None:
    for name, digit in (("one", "a"), ("two", "b")):
        (tmp_path / name).write_text(digit * 64)
    open_vault(catalog, tmp_path / "one", RealAmbient(), given=True)
    with pytest.raises(FailedPrecondition, match=r"two is not that of the other servers.*--secrets-key"):
        open_vault(catalog, tmp_path / "two", RealAmbient(), given=True)
    catalog.transact(identity.forget_key)  # as a restore does, whose backup brought another key
    open_vault(catalog, tmp_path / "two", RealAmbient(), given=True)


def test_a_key_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with (
        Catalog.open(tmp_path / "catalog", RealAmbient()) as alone,
        pytest.raises(DataLoss, match=r"nowhere.key, is gone"),
    ):
        open_vault(alone, tmp_path / "nowhere.key", RealAmbient(), given=True)
