"""The config file on disk: `~/.pachyderm/config.json`, version 2, shared with the other clients of Pachyderm.

Keys that this client does not know are kept. The file holds tokens, so it is written with mode 0600, and whole or not
at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trunkline.cli.config.contexts import Context
from trunkline.errors import FailedPrecondition, NotFound

DEFAULT_CONTEXT = "default"


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the config file is: `PACH_CONFIG`, else `~/.pachyderm/config.json`."""
    given = environ.get("PACH_CONFIG")
    if given:
        return Path(given).expanduser()
    home = environ.get("HOME") or str(Path("~").expanduser())
    return Path(home) / ".pachyderm" / "config.json"


class Config:
    """The file's document. A file that is not there reads as one without contexts; nothing is written until `save`."""

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        self.path = path
        self.document = document

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read the file. Raises FailedPrecondition if it is there but cannot be used."""
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return cls(path, {"v2": {"contexts": {}, "metrics": False}})
        except (OSError, UnicodeDecodeError) as error:
            raise FailedPrecondition(f"cannot read the config file {path}: {error}") from error
        try:
            document = json.loads(text) if text.strip() else {}
        except json.JSONDecodeError as error:
            raise FailedPrecondition(
                f"the config file {path} is not JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
                "mend it, or move it away to start afresh"
            ) from error
        if not isinstance(document, dict) or not isinstance(document.setdefault("v2", {}), dict):
            raise FailedPrecondition(f'the config file {path} is not a JSON object with an object "v2"')
        contexts = document["v2"].setdefault("contexts", {})
        if not isinstance(contexts, dict) or not all(isinstance(one, dict) for one in contexts.values()):
            raise FailedPrecondition(f'the config file {path}: "v2.contexts" is not an object of objects')
        return cls(path, document)

    def save(self) -> None:
        """Write the file: whole or not at all, readable by its owner only. Raises FailedPrecondition."""
        import tempfile

        target = Path(os.path.realpath(self.path))  # a linked config file stays a link
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(prefix=".config-", suffix=".json", dir=target.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(json.dumps(self.document, indent=2, ensure_ascii=False) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise FailedPrecondition(f"cannot write the config file {self.path}: {error}") from error

    @property
    def v2(self) -> dict[str, Any]:
        """The part that holds everything of version 2."""
        part: dict[str, Any] = self.document["v2"]
        return part

    @property
    def contexts(self) -> dict[str, dict[str, Any]]:
        """All contexts by name."""
        part: dict[str, dict[str, Any]] = self.v2["contexts"]
        return part

    @property
    def active_name(self) -> str:
        """The active context's name; empty if none is set."""
        name = self.v2.get("active_context", "")
        return name if isinstance(name, str) else ""

    def active(self) -> Context:
        """The active context. Where none was ever made: one that means the server on this machine.

        Raises NotFound if the active context's name is not among the contexts.
        """
        if not self.active_name:
            return Context(DEFAULT_CONTEXT, {})
        return self.context(self.active_name)

    def active_to_change(self) -> Context:
        """The active context, made and set active where there was none, so that it can be changed and saved."""
        if not self.active_name:
            self.contexts.setdefault(DEFAULT_CONTEXT, {})
            self.activate(DEFAULT_CONTEXT)
        return self.active()

    def context(self, name: str) -> Context:
        """The context called `name`. Raises NotFound, naming those that are there."""
        if name not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none yet; make one with `pachctl connect ADDRESS`"
            raise NotFound(f'there is no context "{name}" in {self.path} (contexts: {known})')
        return Context(name, self.contexts[name])

    def put(self, name: str, data: dict[str, Any]) -> Context:
        """Add the context, or replace the one of that name."""
        self.contexts[name] = data
        return Context(name, data)

    def activate(self, name: str) -> None:
        """Make `name` the active context. Raises NotFound."""
        self.context(name)
        self.v2["active_context"] = name
