"""Functions that reach the catalog's writer as one group."""

from __future__ import annotations

import threading

from trunkline.catalog.engine import Catalog, Tx


class Crowd:
    """Functions that reach the writer as one group, since it is kept busy until all of them wait."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.outcomes: dict[str, object] = {}

    def run(self, **functions: object) -> dict[str, object]:
        busy, go = threading.Event(), threading.Event()

        def hold(_tx: Tx) -> None:
            busy.set()
            assert go.wait(60)

        threads = [threading.Thread(target=self.catalog.transact, args=(hold,))]
        threads[0].start()
        assert busy.wait(60)
        waiting = self.catalog._writer._waiting
        for place, (name, function) in enumerate(functions.items(), 1):
            threads.append(threading.Thread(target=self._one, args=(name, function)))
            threads[-1].start()
            while waiting.qsize() < place:
                threading.Event().wait(0.001)
        go.set()
        for thread in threads:
            thread.join()
        return self.outcomes

    def _one(self, name: str, function) -> None:
        try:
            self.outcomes[name] = self.catalog.transact(function)
        except Exception as error:
            self.outcomes[name] = type(error)
