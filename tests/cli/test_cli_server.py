"""Commands on images, transactions, and the server as a whole."""

from __future__ import annotations

import json

import pytest
from cli_things import ID, before, pipeline
from google.protobuf.empty_pb2 import Empty

from trunkline.errors import FailedPrecondition
from trunkline.wire.gen import admin_v2_pb2 as admin
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import transaction_v2_pb2 as transactions
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen import versionpb_v2_pb2 as versions


def test_images(pachctl, server, context, tmp_path):
    (tmp_path / "r.txt").write_text("numpy\n")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "edges.py").write_text("print()")
    server.script["images.CreateImage"] = own.ImageInfo(digest="d" * 64)
    line = f"create image opencv {tmp_path}/files -e A=b=c -w /x -u me --python 3.11 --requirements {tmp_path}/r.txt"
    assert pachctl(*line.split()).out == "d" * 64 + "\n"
    spec = server.only("images.CreateImage").request.image
    assert spec == own.ImageSpec(
        name="opencv", env={"A": "b=c"}, working_dir="/x", user="me", python="3.11", requirements="numpy\n"
    )
    info = own.ImageInfo(spec=spec, digest="d" * 64, created=before(hours=3), files=1, size_bytes=7)
    server.script["images.ListImage"] = [info]
    assert pachctl("list", "image").out == (
        "NAME   DIGEST       FILES SIZE CREATED\nopencv dddddddddddd 1     7B   3 hours ago\n"
    )
    server.script["images.InspectImage"] = info
    shown = pachctl("inspect", "image", "opencv").out
    assert shown.splitlines()[:2] == ["Name: opencv", f"Digest: {'d' * 64}"]
    assert "Requirements:\nnumpy\n" in shown
    assert pachctl("create", "image", "x", "-e", "oops").status == 1
    assert pachctl("create", "image", "x", tmp_path / "nowhere").status == 1


# The server as a whole.


def test_version(pachctl, server, context):
    from trunkline import __version__

    server.script["versions.GetVersion"] = versions.Version(major=2, minor=12, micro=1, additional="-x")
    assert pachctl("version").out == (
        f"COMPONENT           VERSION\npachctl             {__version__}\npachd               2.12.1-x\n"
    )
    assert json.loads(pachctl("version", "--client-only", "--raw").out) == {
        "component": "pachctl",
        "version": __version__,
    }
    assert pachctl("version", "--compare").status == 1


def test_cluster(pachctl, server, context):
    server.script["admin.InspectCluster"] = admin.ClusterInfo(id="the-id", warnings=["old client"])
    done = pachctl("inspect", "cluster")
    assert (done.out, done.err) == ("the-id\n", "warning: old client\n")


def test_fsck(pachctl, server, context):
    server.script["pfs.Fsck"] = []
    assert pachctl("fsck").out == "No errors found.\n"
    server.script["pfs.Fsck"] = [pfs.FsckResponse(error="bad"), pfs.FsckResponse(fix="mended")]
    done = pachctl("fsck", "-f", "--zombie", "images@master")
    assert (done.status, done.out) == (1, "Error: bad\nFix applied: mended\n")
    request = server.calls[-1].request
    assert (request.fix, request.zombie_target.branch.name) == (True, "master")
    server.script["space.CheckData"] = [own.CheckDataResponse(error="bad"), own.CheckDataResponse(error="flipped")]
    done = pachctl("fsck", "--data")
    assert (done.status, done.out) == (1, "Error: bad\nFix applied: mended\nError: flipped\n")
    server.script["pfs.Fsck"] = []
    server.script["space.CheckData"] = []
    assert pachctl("fsck", "--data").out == "No errors found.\n"


@pytest.mark.parametrize(("args", "stdin", "gone"), [([], b"y\n", True), ([], b"n\n", False), (["--yes"], b"", True)])
def test_delete_all(pachctl, server, context, args, stdin, gone):
    server.script["pps.ListPipeline"] = [pipeline()]
    server.script["pfs.ListRepo"] = [pfs.RepoInfo(repo=pfs.Repo(name="images", project=pfs.Project(name="p")))]
    for name in ("pps.DeleteAll", "pfs.DeleteAll"):
        server.script[name] = Empty()
    done = pachctl("delete", "all", *args, stdin=stdin)
    assert [len(server.named(name)) for name in ("pps.DeleteAll", "pfs.DeleteAll")] == [int(gone), int(gone)]
    assert ("  p/images\n" in done.out) is not bool(args)


# Transactions.


def test_a_transaction_from_start_to_finish(pachctl, server, context, config):
    server.script["transactions.StartTransaction"] = transactions.Transaction(id=ID)
    assert pachctl("start", "transaction").out == f'started new transaction: "{ID}"\n'
    again = pachctl("start", "transaction")
    assert (again.status, "pachctl finish transaction" in again.err) == (1, True)
    server.script["pfs.CreateRepo"] = Empty()
    assert pachctl("create", "repo", "a").out == f"Added to transaction: {ID}\n"
    assert server.calls[-1].metadata["pach-transaction"] == ID
    info = transactions.TransactionInfo(
        transaction=transactions.Transaction(id=ID), started=before(minutes=1),
        requests=[transactions.TransactionRequest(create_repo=pfs.CreateRepoRequest())],
    )  # fmt: skip
    server.script["transactions.InspectTransaction"] = info
    assert (
        pachctl("inspect", "transaction").out == f"ID: {ID}\nStarted: About a minute ago\nRequests:\n\n  create_repo\n"
    )
    server.script["transactions.ListTransaction"] = transactions.TransactionInfos(transaction_info=[info])
    assert pachctl("list", "transaction").out.splitlines()[1] == f"{ID} About a minute ago 1"
    assert pachctl("stop", "transaction").out == f"Cleared active transaction: {ID}\n"
    assert pachctl("resume", "transaction", ID).out == f"Resuming existing transaction with 1 requests: {ID}\n"
    server.script["transactions.FinishTransaction"] = info
    assert pachctl("finish", "transaction").out == f"Completed transaction with 1 requests: {ID}\n"
    assert "active_transaction" not in config.read_text()
    assert "no transaction is open" in pachctl("finish", "transaction").err


def test_files_are_no_part_of_a_transaction(pachctl, server, context, config):
    document = json.loads(config.read_text())
    document["v2"]["contexts"]["test"]["active_transaction"] = ID
    config.write_text(json.dumps(document))
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", "a@master:/x", stdin=b"1").status == 0
    assert "pach-transaction" not in server.only("pfs.ModifyFile").metadata


def test_a_transaction_that_fails_stays_open(pachctl, server, context, config):
    server.script["transactions.StartTransaction"] = transactions.Transaction(id=ID)
    pachctl("start", "transaction")
    server.script["transactions.FinishTransaction"] = FailedPrecondition("the repo is there by now")
    assert pachctl("finish", "transaction").status == 1
    assert ID in config.read_text()


def test_storage(pachctl, server, context):
    figures = own.CollectionFigures(doomed=3, doomed_bytes=2048, filesets=2)
    server.script["space.InspectStorage"] = own.StorageInfo(
        logical_bytes=4096, unique_bytes=2048, stored_bytes=1024, dedup_ratio=2, compression_ratio=2, cycle=7,
        collected=figures,
    )  # fmt: skip
    shown = pachctl("inspect", "storage").out.splitlines()
    assert shown[:3] == [
        "Written: 4KiB",
        "Unique: 2KiB (equal content once: 2.00x)",
        "Stored: 1KiB (compressed: 2.00x)",
    ]
    assert "Collection: cycle 7, 2KiB in 3 chunks and 2 file sets since the server was started" in shown
    assert json.loads(pachctl("inspect", "storage", "--raw").out)["logical_bytes"] == "4096"


def test_run_collection(pachctl, server, context):
    server.script["space.RunCollection"] = own.CollectionFigures(doomed=3, doomed_bytes=2048, filesets=2)
    assert pachctl("run", "collection", "--dry-run").out == "Would free 2KiB in 3 chunks and 2 file sets.\n"
    assert server.only("space.RunCollection").request.dry_run
    server.script["space.RunCollection"] = own.CollectionFigures(
        leftovers=1, leftover_bytes=1, waiting=2, waiting_bytes=1024, open_sessions=4
    )
    assert pachctl("run", "collection").out == (
        "Freed 1B in 0 chunks and 0 file sets, with 1 leftovers of writes that never ended.\n"
        "2 chunks (1KiB) stay until 4 writes that run now have ended; they then go by themselves.\n"
    )
