"""A transaction on a real server that is killed between its requests and its end, as pachctl sees it."""

from __future__ import annotations

from pathlib import Path

from trunkline.testing.serving import PachdProcess, documents


def test_a_transaction_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    pachd = PachdProcess(tmp_path / "server", ["--workers", "0"])
    with pachd:
        started = pachd.pachctl("start", "transaction")
        id = started.split('"')[1]
        added = f"Added to transaction: {id}\n"
        assert started == f'started new transaction: "{id}"\n'
        assert pachd.pachctl("create", "repo", "kept") == added
        assert pachd.pachctl("start", "commit", "kept@master") == f"{added}{id}\n"
        pachd.kill()
        pachd.start(fresh=False)
        # The client's settings are new, as those of another person are.
        resumed = f"Resuming existing transaction with 2 requests: {id}\n"
        assert pachd.pachctl("resume", "transaction", id) == resumed
        assert pachd.pachctl("list", "repo").count("\n") == 1
        assert pachd.pachctl("list", "transaction").splitlines()[1].split()[0] == id
        assert pachd.pachctl("finish", "commit", "kept@master") == added
        pachd.kill()
        pachd.start(fresh=False)
        assert pachd.pachctl("finish", "transaction", id) == f"Completed transaction with 3 requests: {id}\n"
        pachd.kill()
        pachd.start(fresh=False)
        (commit,) = documents(pachd.pachctl("list", "commit", "kept", "--raw"))
        assert commit["commit"]["id"] == id
        assert pachd.pachctl("list", "transaction").count("\n") == 1
