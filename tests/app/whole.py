"""One server, and short words for what tests of whole pipelines do with it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from trunkline.testing.serving import PachdProcess, documents


class Site:
    """One server, and short words for what the tests do with it."""

    def __init__(self, server: PachdProcess) -> None:
        self.server = server

    def pachctl(self, *words: str, stdin: bytes = b"") -> str:
        try:
            return self.server.pachctl(*words, stdin=stdin)
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"pachctl {' '.join(words)}: {(error.stdout + error.stderr).decode()}") from None

    def notes(self, *words: str, stdin: bytes = b"") -> str:
        """What a command that succeeds adds for the person who reads."""
        line = [self.server.program("pachctl"), *words]
        done = subprocess.run(line, env=self.server.client_env, input=stdin, capture_output=True, check=True)
        told: bytes = done.stderr
        return told.decode()

    def refused(self, *words: str, stdin: bytes = b"") -> str:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            self.server.pachctl(*words, stdin=stdin)
        return caught.value.stderr.decode()

    def put(self, repo: str, **files: str) -> None:
        """Files, all in one commit."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                Path(folder, name).write_text(text)
            self.pachctl("put", "file", f"{repo}@master:/", "-r", "-f", folder)

    def create(self, name: str, transform: dict[str, Any], *flags: str, verb: str = "create", **spec: Any) -> None:
        spec.setdefault("input", {"pfs": {"repo": f"{name}-in", "name": "in", "glob": "/*"}})
        body = {"pipeline": {"name": name}, "transform": transform, **spec}
        self.pachctl(verb, "pipeline", *flags, "-f", "-", stdin=json.dumps(body).encode())

    def job(self, pipeline: str) -> dict[str, Any]:
        """The newest job, once it has ended."""
        newest = next(documents(self.pachctl("list", "job", "-p", pipeline, "--raw")))
        self.pachctl("wait", "job", f"{pipeline}@{newest['job']['id']}")
        return next(documents(self.pachctl("inspect", "job", f"{pipeline}@{newest['job']['id']}", "--raw")))

    def counts(self, pipeline: str) -> tuple[str, int, int]:
        """State, processed and skipped of the newest job."""
        job = self.job(pipeline)
        done, kept = int(job.get("data_processed", 0)), int(job.get("data_skipped", 0))
        return job["state"].removeprefix("JOB_").lower(), done, kept

    def tree(self, repo: str) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            self.pachctl("get", "file", "-r", f"{repo}@master:/", "-o", folder)
            found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            return {f"/{path.relative_to(folder)}": path.read_text() for path in found}
