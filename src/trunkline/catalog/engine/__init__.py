"""The engine under all queries: transactions, snapshots, and the signal that something was committed.

`Catalog.open(folder, ambient)` is the way in; queries take the `Tx` that `transact` and `read` hand to a function.
"""

from __future__ import annotations

from trunkline.catalog.engine.catalog import Catalog
from trunkline.catalog.engine.fixed import Fixed, given, some
from trunkline.catalog.engine.tx import AnyRow, Rows, Seed, Trace, Tx, slices
from trunkline.catalog.engine.wake import Wake, thing

__all__ = ["AnyRow", "Catalog", "Fixed", "Rows", "Seed", "Trace", "Tx", "Wake", "given", "slices", "some", "thing"]
