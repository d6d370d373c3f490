"""Which functions of a public client a run touched, so that none is forgotten. Knows nothing of Trunkline."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


class Touched:
    """Wraps the functions of classes and remembers which ones were called."""

    def __init__(self) -> None:
        self.offered: dict[str, set[str]] = {}
        self.called: dict[str, set[str]] = {}

    def watch(self, name: str, kind: type | ModuleType) -> None:
        """Remember calls of the public functions of `kind` under `name`."""
        self.offered[name], self.called[name] = set(), set()
        for function_name, function in inspect.getmembers(kind, inspect.isfunction):
            if not function_name.startswith("_"):
                self._replace(name, kind, function_name, function)

    def watch_own(self, name: str, kind: type | ModuleType, *copies: ModuleType) -> None:
        """The same of those that it has itself, from no class above it and no other module; static ones too.

        copies: modules that have them by the same names.
        """
        self.offered[name], self.called[name] = set(), set()
        for function_name, function in list(vars(kind).items()):
            plain = function.__func__ if isinstance(function, staticmethod) else function
            here = not isinstance(kind, ModuleType) or getattr(plain, "__module__", "") == kind.__name__
            if inspect.isfunction(plain) and here and not function_name.startswith("_"):
                for each in (kind, *copies):
                    self._replace(name, each, function_name, function)

    def _replace(self, name: str, kind: type | ModuleType, function_name: str, function: Any) -> None:
        self.offered[name].add(function_name)
        static = isinstance(function, staticmethod)
        made = self._wrap(name, function_name, function.__func__ if static else function)
        setattr(kind, function_name, staticmethod(made) if static else made)

    def _wrap(self, name: str, function_name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def remembering(*args: Any, **kwargs: Any) -> Any:
            self.called[name].add(function_name)
            return function(*args, **kwargs)

        return remembering

    def write(self, path: Path) -> None:
        """Write what was never called, by group, as JSON."""
        missed = {name: sorted(self.offered[name] - self.called[name]) for name in self.offered}
        path.write_text(json.dumps(missed, indent=1))
