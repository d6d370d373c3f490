"""Transactions through a real socket: kept, finished, dropped, out of date; headers of both kinds; batches."""

from __future__ import annotations

import json

import grpc
from transaction_things import NOWHERE, Rooms, branch_request, named, pipeline_request, refused, spec, within

from trunkline.pfs.graph.transactions import MOST_REQUESTS
from trunkline.testing.calls import edits, on
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as wire
from trunkline.wire.notes import notes_of


def test_nothing_happens_before_the_end_and_then_all_of_it(rooms: Rooms) -> None:
    id = rooms.start()
    one, two = named("together-one"), named("together-two")
    for repo in (one, two):
        rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=repo), metadata=within(id))
    told = rooms.pfs.StartCommit(
        pfs.StartCommitRequest(branch=pfs.Branch(repo=one, name="master"), description="d"), metadata=within(id)
    )
    assert (told.id, told.repo) == (id, one)
    assert refused(lambda: rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=one))).code is grpc.StatusCode.NOT_FOUND
    info = rooms.inspect(id)
    assert [request.ListFields()[0][0].name for request in info.requests] == ["create_repo"] * 2 + ["start_commit"]
    assert [response.commit.id for response in info.responses] == ["", "", id]
    assert info.version == 3
    assert id in [
        one.transaction.id for one in rooms.api.ListTransaction(wire.ListTransactionRequest()).transaction_info
    ]
    done = rooms.finish(id)
    assert (done.requests, done.responses, done.started) == (info.requests, info.responses, info.started)
    assert rooms.head(one).commit.id == id
    assert rooms.head(one).description == "d"
    assert "finished or deleted" in refused(lambda: rooms.inspect(id)).details


def test_branches_moved_together_start_one_job(rooms: Rooms) -> None:
    one, two = rooms.client.repo(), rooms.client.repo()
    for repo in (one, two):
        rooms.pfs.CreateBranch(branch_request(repo, "master"))
    rooms.pps.CreatePipeline(pipeline_request("pair", one.name, two.name))
    before = len(rooms.jobs("pair"))
    for repo in (one, two):
        rooms.client.put(repo, {"/a": b"1"}, "staging")
    id = rooms.start()
    for repo in (one, two):
        rooms.pfs.CreateBranch(branch_request(repo, "master", "staging"), metadata=within(id))
    assert len(rooms.jobs("pair")) == before
    rooms.finish(id)
    jobs = rooms.jobs("pair")
    assert (len(jobs), jobs[0].job.id) == (before + 1, id)


def test_a_graph_of_repos_and_pipelines_is_made_at_once(rooms: Rooms) -> None:
    source = named("graph")
    id = rooms.start()
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=source), metadata=within(id))
    rooms.pps.CreatePipeline(pipeline_request("graph-first", "graph"), metadata=within(id))
    asked = pps.CreatePipelineV2Request(create_pipeline_request_json=spec("graph-second", "graph-first"))
    told = rooms.pps.CreatePipelineV2(asked, metadata=within(id))
    assert json.loads(told.effective_create_pipeline_request_json)["pipeline"]["name"] == "graph-second"
    members = [request.ListFields()[0][0].name for request in rooms.inspect(id).requests]
    assert members == ["create_repo", "create_pipeline", "create_pipeline_v2"]
    assert rooms.finish(id).requests[2].create_pipeline_v2.create_pipeline_request.pipeline.name == "graph-second"
    assert [[job.job.id for job in rooms.jobs(name)] for name in ("graph-first", "graph-second")] == [[id], [id]]
    second = pps.Pipeline(name="graph-second")
    salts = [
        rooms.pps.InspectPipeline(pps.InspectPipelineRequest(pipeline=second, details=True)).details.salt,
        json.loads(told.effective_create_pipeline_request_json)["salt"],
    ]
    assert salts[0] == salts[1], "what was told when it was added is what came to be"


def test_a_pipeline_that_is_only_tried_is_not_kept(rooms: Rooms) -> None:
    source = rooms.client.repo()
    id = rooms.start()
    text = spec("tried", source.name)
    for asked in (
        pps.CreatePipelineV2Request(create_pipeline_request_json=text, dry_run=True),
        pps.CreatePipelineV2Request(create_pipeline_request_json=spec("tried", source.name, dryRun=True)),
    ):
        assert rooms.pps.CreatePipelineV2(asked, metadata=within(id)).effective_create_pipeline_request_json
    rooms.pps.CreatePipeline(pipeline_request("tried", source.name, dry_run=True), metadata=within(id))
    assert not rooms.inspect(id).requests
    rooms.finish(id)


def test_a_batch_makes_no_pipeline_that_is_only_to_be_tried(rooms: Rooms) -> None:
    source = rooms.client.repo()
    newer = pps.CreatePipelineTransaction(user_json=spec("tried-in-batch", source.name, dryRun=True))
    older = pipeline_request("tried-in-batch", source.name, dry_run=True)
    for request in (
        wire.TransactionRequest(create_pipeline_v2=newer),
        wire.TransactionRequest(create_pipeline_v2=pps.CreatePipelineTransaction(create_pipeline_request=older)),
        wire.TransactionRequest(create_pipeline=older),
    ):
        batch = wire.BatchTransactionRequest(requests=[request])
        said = refused(lambda batch=batch: rooms.api.BatchTransaction(batch))
        assert said.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "dry run" in said.details
    name = pps.Pipeline(name="tried-in-batch")
    missing = refused(lambda: rooms.pps.InspectPipeline(pps.InspectPipelineRequest(pipeline=name)))
    assert missing.code is grpc.StatusCode.NOT_FOUND


def test_each_request_sees_those_before_it(rooms: Rooms) -> None:
    repo, id = rooms.client.repo(), rooms.start()
    rooms.client.put(repo, {"/a": b"1"})
    start = pfs.StartCommitRequest(branch=pfs.Branch(repo=repo, name="master"))
    commit = rooms.pfs.StartCommit(start, metadata=within(id))
    assert "has not been finished" in refused(lambda: rooms.pfs.StartCommit(start, metadata=within(id))).details
    rooms.pfs.FinishCommit(pfs.FinishCommitRequest(commit=commit, description="both"), metadata=within(id))
    start.branch.name = "other"
    said = refused(lambda: rooms.pfs.StartCommit(start, metadata=within(id)))
    assert "two commits in one transaction" in said.details
    rooms.finish(id)
    info = rooms.head(repo)
    assert (info.commit.id, info.description) == (id, "both")


def test_what_is_made_and_taken_away_again_leaves_nothing(rooms: Rooms) -> None:
    kept, gone, id = rooms.client.repo(), named("made-and-gone"), rooms.start()
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=gone), metadata=within(id))
    rooms.pfs.CreateBranch(branch_request(gone, "a"), metadata=within(id))
    rooms.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=gone), metadata=within(id))
    rooms.pfs.CreateBranch(branch_request(kept, "a"), metadata=within(id))
    rooms.pfs.DeleteBranch(pfs.DeleteBranchRequest(branch=pfs.Branch(repo=kept, name="a")), metadata=within(id))
    assert len(rooms.finish(id).requests) == 5
    assert refused(lambda: rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=gone))).code is grpc.StatusCode.NOT_FOUND
    assert not list(rooms.pfs.ListBranch(pfs.ListBranchRequest(repo=kept)))


def test_a_transaction_that_does_not_fit_any_more_is_told_of_and_stays(rooms: Rooms) -> None:
    first, clash, id = named("stale-first"), named("stale-clash"), rooms.start()
    for repo in (first, clash):
        rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=repo), metadata=within(id))
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=clash))
    said = refused(lambda: rooms.finish(id))
    assert said.code is grpc.StatusCode.FAILED_PRECONDITION
    for words in (id, "request 2 of 2 (create_repo)", "repo default/stale-clash already exists", "delete transaction"):
        assert words in said.details
    assert refused(lambda: rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=first))).code is grpc.StatusCode.NOT_FOUND
    added = refused(lambda: rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=named("stale-third")), metadata=within(id)))
    assert "request 2 of 3" in added.details
    assert len(rooms.inspect(id).requests) == 2
    rooms.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=clash))
    rooms.finish(id)
    assert rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=first)).repo == first


def test_a_transaction_that_is_not_there_is_refused(rooms: Rooms) -> None:
    request = pfs.CreateRepoRequest(repo=named("never"))
    said = refused(lambda: rooms.pfs.CreateRepo(request, metadata=within(NOWHERE)))
    assert said.code is grpc.StatusCode.NOT_FOUND
    assert NOWHERE in said.details
    wrong = refused(lambda: rooms.pfs.CreateRepo(request, metadata=within("nonsense")))
    assert wrong.code is grpc.StatusCode.INVALID_ARGUMENT
    for ask in (rooms.finish, rooms.inspect):
        assert refused(lambda ask=ask: ask(NOWHERE)).code is grpc.StatusCode.NOT_FOUND
    gone = wire.DeleteTransactionRequest(transaction=wire.Transaction(id=NOWHERE))
    assert refused(lambda: rooms.api.DeleteTransaction(gone)).code is grpc.StatusCode.NOT_FOUND


def test_an_empty_header_is_none(rooms: Rooms) -> None:
    repo = named("plain")
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=repo), metadata=within(""))
    assert rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=repo), metadata=within("")).repo == repo


def test_reads_and_files_are_outside_and_the_person_is_told(rooms: Rooms) -> None:
    repo, id = rooms.client.repo(), rooms.start()
    assert rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=repo), metadata=within(id)).repo == repo
    assert list(rooms.pfs.ListRepo(pfs.ListRepoRequest(), metadata=within(id)))
    _, call = rooms.pfs.ModifyFile.with_call(iter(edits(on(repo, "master"), {"/a": b"1"})), metadata=within(id))
    assert rooms.head(repo).commit.id != id
    (note,) = notes_of(call.trailing_metadata())
    assert note == f"ModifyFile is never part of a transaction: it was done at once, outside of transaction {id}"
    _, read = rooms.pfs.InspectRepo.with_call(pfs.InspectRepoRequest(repo=repo), metadata=within(id))
    assert not list(notes_of(read.trailing_metadata()))
    assert not rooms.inspect(id).requests


def test_a_commit_that_waits_in_a_transaction_takes_no_files_yet(rooms: Rooms) -> None:
    repo, id = rooms.client.repo(), rooms.start()
    commit = rooms.pfs.StartCommit(
        pfs.StartCommitRequest(branch=pfs.Branch(repo=repo, name="master")), metadata=within(id)
    )
    said = refused(lambda: rooms.pfs.ModifyFile(iter(edits(commit, {"/a": b"1"})), metadata=within(id)))
    assert said.code is grpc.StatusCode.NOT_FOUND
    assert f"transaction {id} is not finished yet" in said.details
    rooms.finish(id)
    rooms.pfs.ModifyFile(iter(edits(commit, {"/a": b"1"})))
    assert rooms.head(repo).commit.id == id


def test_transactions_are_outside_of_transactions(rooms: Rooms) -> None:
    outer = rooms.start()
    inner = rooms.api.StartTransaction(wire.StartTransactionRequest(), metadata=within(outer)).id
    assert inner != outer
    request = wire.FinishTransactionRequest(transaction=wire.Transaction(id=inner))
    assert rooms.api.FinishTransaction(request, metadata=within(inner)).transaction.id == inner
    rooms.finish(outer)


def test_a_batch_is_done_at_once_or_not_at_all(rooms: Rooms) -> None:
    repo = rooms.client.repo()
    rooms.client.put(repo, {"/a": b"1"}, "staging")
    start = pfs.StartCommitRequest(branch=pfs.Branch(repo=repo, name="work"))
    info = rooms.api.BatchTransaction(
        wire.BatchTransactionRequest(
            requests=[
                wire.TransactionRequest(start_commit=start),
                wire.TransactionRequest(create_branch=branch_request(repo, "master", "staging")),
            ]
        )
    )
    assert info.responses[0].commit.id == info.transaction.id == rooms.head(repo, "work").commit.id
    assert rooms.head(repo).commit.id == rooms.head(repo, "staging").commit.id
    assert refused(lambda: rooms.inspect(info.transaction.id)).code is grpc.StatusCode.NOT_FOUND
    bad = wire.BatchTransactionRequest(
        requests=[
            wire.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=named("half"))),
            wire.TransactionRequest(
                delete_branch=pfs.DeleteBranchRequest(branch=pfs.Branch(repo=named("no"), name="b"))
            ),
        ]
    )
    said = refused(lambda: rooms.api.BatchTransaction(bad))
    assert said.code is grpc.StatusCode.NOT_FOUND
    assert "request 2 of the batch (delete_branch): repo default/no not found" in said.details
    missing = refused(lambda: rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=named("half"))))
    assert missing.code is grpc.StatusCode.NOT_FOUND
    both = wire.TransactionRequest(create_repo=pfs.CreateRepoRequest(), start_commit=start)
    for request, words in ((both, "several things at once"), (wire.TransactionRequest(), "asks for nothing")):
        asked = wire.BatchTransactionRequest(requests=[request])
        assert words in refused(lambda asked=asked: rooms.api.BatchTransaction(asked)).details
    many = wire.BatchTransactionRequest(requests=[wire.TransactionRequest()] * (MOST_REQUESTS + 1))
    assert "at most 1000 requests" in refused(lambda: rooms.api.BatchTransaction(many)).details
    assert not rooms.api.BatchTransaction(wire.BatchTransactionRequest()).requests


def test_deleted_transactions_are_gone(rooms: Rooms) -> None:
    one, two = rooms.start(), rooms.start()
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=named("dropped")), metadata=within(one))
    rooms.api.DeleteTransaction(wire.DeleteTransactionRequest(transaction=wire.Transaction(id=one)))
    left = [info.transaction.id for info in rooms.api.ListTransaction(wire.ListTransactionRequest()).transaction_info]
    assert (one in left, two in left) == (False, True)
    rooms.api.DeleteAll(wire.DeleteAllRequest())
    assert not rooms.api.ListTransaction(wire.ListTransactionRequest()).transaction_info
    said = refused(lambda: rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=named("dropped"))))
    assert said.code is grpc.StatusCode.NOT_FOUND


def test_jobs_are_ended_together(rooms: Rooms) -> None:
    repo = rooms.client.repo()
    rooms.client.put(repo, {"/a": b"1"})
    for name in ("ended-one", "ended-two"):
        rooms.pps.CreatePipeline(pipeline_request(name, repo.name))
    jobs = [rooms.jobs(name)[0].job for name in ("ended-one", "ended-two")]
    id = rooms.start()
    rooms.pps.StopJob(pps.StopJobRequest(job=jobs[0], reason="together"), metadata=within(id))
    failed = pps.UpdateJobStateRequest(job=jobs[1], state=pps.JOB_FAILURE, reason="together")
    rooms.pps.UpdateJobState(failed, metadata=within(id))
    assert not [one for one in jobs if rooms.pps.InspectJob(pps.InspectJobRequest(job=one)).reason == "together"]
    rooms.finish(id)
    ended = [rooms.pps.InspectJob(pps.InspectJobRequest(job=job, wait=True), timeout=60) for job in jobs]
    assert [(one.state, one.reason) for one in ended] == [(pps.JOB_KILLED, "together"), (pps.JOB_FAILURE, "together")]
