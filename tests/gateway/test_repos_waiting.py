"""A bucket whose commit is not finished while another is open: nobody's request holds a thread for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine
from trunkline.gateway.repos import writes
from trunkline.gateway.s3.faults import Fault
from trunkline.testing.calls import Client, on
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs


def test_who_reads_it_is_told_to_ask_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "PATIENCE_S", 0.05)
    engine = open_engine(Config(data=tmp_path / "data"), RealAmbient())
    engine.start(("127.0.0.1", 0))
    with serving(tmp_path, engine.doors) as channel:
        client = Client.on(channel)
        source, repo = client.repo(), client.repo()
        request = pfs.CreateBranchRequest(branch=pfs.Branch(repo=repo, name="master"))
        request.provenance.add(repo=source, name="master")
        client.stub.CreateBranch(request)
        for name in ("/a", "/b"):  # two outputs, of which the older one stays open
            client.put(source, {name: b"1"})
        last = client.stub.InspectCommit(pfs.InspectCommitRequest(commit=on(repo))).commit
        client.stub.FinishCommit(pfs.FinishCommitRequest(commit=last, force=True))
        bucket = f"master.{repo.name}"
        for ask in (engine.shop.open, engine.shop.delete):
            with pytest.raises(Fault) as caught:
                ask(bucket)
            assert caught.value.code == "ServiceUnavailable"
            assert f"default/{repo.name}@master" in str(caught.value)
        for info in list(client.stub.ListCommit(pfs.ListCommitRequest(repo=repo, all=True))):
            if not info.HasField("finishing"):
                client.stub.FinishCommit(pfs.FinishCommitRequest(commit=info.commit, force=True))
        client.finished(repo)
        assert engine.shop.open(bucket).find("a") is None
    engine.stop()
    engine.close()
