"""Commands on jobs, datums and logs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cli_things import ID, OTHER, SPEC, before, job, reads
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions
from trunkline.wire.gen import trunkline_pb2 as own

JOBS = [
    job(),
    job(OTHER, state=pps.JOB_FAILURE, reason="3 of 8 datums failed: see the logs", data_recovered=2, restart=1),
    job(OTHER, state=pps.JOB_SUCCESS, data_processed=0, data_total=5),
    job(OTHER, state=pps.JOB_SUCCESS, data_processed=0, data_skipped=0, data_total=0),
    job(OTHER, state=pps.JOB_RUNNING, finished=None),
    job(OTHER, state=pps.JOB_CREATED, finished=None, started=None),
]

FACTS = "9 minutes ago 5 minutes 0"
AGAIN = FACTS.replace("0", "1")
JOB_ROWS = [
    f"default edges    {ID} {FACTS}       3 + 5 / 8     2KiB 10B success",
    f"default edges    {OTHER} {AGAIN}       3 + 5 + 2 / 8 2KiB 10B failure: 3 of 8 datums failed: ...",
    f"default edges    {OTHER} {FACTS}       0 + 5 / 5     2KiB 10B success (all datums skipped: nothing to process)",
    f"default edges    {OTHER} {FACTS}       0 + 0 / 0     2KiB 10B success (no datums: nothing to process)",
    f"default edges    {OTHER} 9 minutes ago 9 minutes 0       3 + 5 / 8     2KiB 10B running",
    f"default edges    {OTHER} -             -         0       3 + 5 / 8     2KiB 10B created",
]  # fmt: skip


def test_list_job(pachctl, server, context):
    server.script["pps.ListJob"] = JOBS
    out = pachctl("list", "job", "-p", "edges", "-i", "images@master").out.splitlines()
    header = (
        "PROJECT PIPELINE ID                               STARTED       DURATION  RESTART PROGRESS      DL   UL  STATE"
    )
    assert out == [header, *JOB_ROWS]
    request = server.only("pps.ListJob").request
    assert (request.pipeline.name, request.input_commit[0].branch.name) == ("edges", "master")
    assert len(pachctl("list", "job", "-x", "--state", "failure", "--state", "created").out.splitlines()) == 3
    server.script["pps.InspectJobSet"] = JOBS[:1]
    assert pachctl("list", "job", ID).out.splitlines()[1].split()[2] == ID
    assert pachctl("list", "job", "edges").status == 1


def test_list_job_sets(pachctl, server, context):
    server.script["pps.ListJobSet"] = [
        pps.JobSetInfo(job_set=pps.JobSet(id=ID), jobs=JOBS[:2]),
        pps.JobSetInfo(job_set=pps.JobSet(id=OTHER), jobs=JOBS[4:]),
    ]
    assert pachctl("list", "job").out == (
        "ID                               SUBJOBS PROGRESS CREATED        MODIFIED\n"
        f"{ID} 2       ▇▇▇▇XXXX 10 minutes ago 4 minutes ago\n"
        f"{OTHER} 2       -------- 10 minutes ago 9 minutes ago\n"
    )
    assert len(pachctl("list", "job", "--state", "failure").out.splitlines()) == 2


def test_inspect_job(pachctl, server, context):
    details = pps.JobInfo.Details(
        input=reads("images"), transform=pps.Transform(cmd=["true"]), datum_timeout=Duration(seconds=90),
        worker_status=[
            pps.WorkerStatus(
                worker_id="w1", job_id=ID,
                datum_status=pps.DatumStatus(started=before(seconds=5), data=[pps.InputFile(path="/a")]),
            ),
            pps.WorkerStatus(worker_id="w2"),
        ],
    )  # fmt: skip
    server.script["pps.InspectJob"] = job(details=details, output_commit=pfs.Commit(id=ID), reason="why " * 20)
    out = pachctl("inspect", "job", f"edges@{ID}").out
    wanted = (
        f"ID: {ID}", "Duration: 5 minutes", "State: success", "Processed: 3", "Skipped: 5", "Total: 8",
        "Data Downloaded: 2KiB", "Process Time: 1m15s", "Datum Timeout: 1m30s", f"Output Commit: {ID}",
    )  # fmt: skip
    for line in wanted:
        assert line in out.splitlines()
    assert "CPU Time" not in out  # by a server that cannot say
    assert "Reason: " + ("why " * 20).strip() in out
    assert f"WORKER JOB                              DATUM STARTED\nw1     {ID} /a    5 seconds ago\n" in out
    bare = pachctl("inspect", "job", ID)
    assert (bare.status, f"`pachctl list job {ID}`" in bare.err) == (1, True)


def usage(seconds: int, cpu_us: int, memory_bytes: int) -> own.Usage:
    stats = pps.ProcessStats(process_time=Duration(seconds=seconds), download_bytes=10, upload_bytes=2048)
    return own.Usage(stats=stats, cpu_us=cpu_us, memory_bytes=memory_bytes)


def test_inspect_job_names_what_took_most_and_what_reuse_saved(pachctl, server, context):
    slow = own.DatumUsage(datum="d1", paths=["/a", "/b", "/c", "/d"], usage=usage(90, 2_500_000, 5 << 20))
    server.script["pps.InspectJob"] = job()
    server.script["datums.InspectJobUsage"] = own.JobUsage(
        spent=usage(91, 2_600_000, 5 << 20), saved=usage(30, 0, 0), reused=5, slowest=[slow],
        largest=[own.DatumUsage(datum="d2", usage=usage(1, 0, 0))],
    )  # fmt: skip
    out = pachctl("inspect", "job", f"edges@{ID}").out
    assert "CPU Time: 2.6s\nPeak Memory: 5MiB\n" in out
    assert "Saved by Reuse: 30s (CPU -), which 5 skipped datums took when they ran\n" in out
    assert (
        "Slowest Datums:\nDATUM FILES           TIME  CPU  MEMORY IN  OUT\n"
        "d1    /a, /b, /c, ... 1m30s 2.5s 5MiB   10B 2KiB\n" in out
    )
    assert "Largest Datums:\nDATUM FILES TIME CPU MEMORY IN  OUT\nd2    -     1s   -   -      10B 2KiB\n" in out


def test_wait_and_stop_jobs(pachctl, server, context):
    server.script["pps.InspectJob"] = job()
    assert pachctl("wait", "job", f"edges@{ID}").out.splitlines()[1] == JOB_ROWS[0].replace(
        "3 + 5 / 8     ", "3 + 5 / 8 "
    )
    assert server.calls[-1].request.wait
    server.script["pps.InspectJobSet"] = [JOBS[0], JOBS[4]]
    assert len(pachctl("wait", "job", ID).out.splitlines()) == 3
    assert server.calls[-1].request.wait
    server.script["transactions.BatchTransaction"] = transactions.TransactionInfo()
    assert pachctl("stop", "job", ID).status == 0
    (member,) = server.only("transactions.BatchTransaction").request.requests
    assert member.stop_job == pps.StopJobRequest(job=JOBS[4].job)
    server.script["pps.StopJob"] = Empty()
    assert pachctl("stop", "job", f"edges@{ID}").status == 0
    assert server.only("pps.StopJob").request.reason == ""
    server.script["pps.InspectJobSet"] = [JOBS[0]]
    assert "no job of this set" in pachctl("stop", "job", ID).err


def datum(state: pps.DatumState.ValueType, **more: Any) -> pps.DatumInfo:
    file = pfs.File(commit=pfs.Commit(repo=pfs.Repo(name="images"), id=ID), path="/a.png")
    fields: dict[str, Any] = {
        "datum": pps.Datum(job=job().job, id="d1"),
        "state": state,
        "data": [pfs.FileInfo(file=file)],
        **more,
    }
    return pps.DatumInfo(**fields)


STATS = pps.ProcessStats(
    download_time=Duration(nanos=5_000_000), process_time=Duration(seconds=1), download_bytes=100, upload_bytes=7
)


def test_datums(pachctl, server, context):
    server.script["pps.ListDatum"] = [datum(pps.SUCCESS, stats=STATS), datum(pps.SKIPPED)]
    assert pachctl("list", "datum", f"edges@{ID}").out == (
        "ID FILES                 STATUS  TIME\n"
        "d1 images@0123456:/a.png success 1s\n"
        "d1 images@0123456:/a.png skipped -\n"
    )
    assert pachctl("list", "datum").status == 1
    assert pachctl("list", "datum", "-f", "-", stdin=json.dumps(SPEC).encode()).status == 0
    assert server.calls[-1].request.input.pfs.repo == "a"
    state = pfs.File(commit=pfs.Commit(repo=pfs.Repo(name="edges"), id=ID), path="/pfs/d1")
    server.script["pps.InspectDatum"] = datum(pps.SUCCESS, stats=STATS, image_id="sha", pfs_state=state)
    assert pachctl("inspect", "datum", f"edges@{ID}", "d1").out == (
        f"ID: d1\nJob ID: {ID}\nImage ID: sha\nState: success\nData Downloaded: 100B\nData Uploaded: 7B\n"
        f"Total Time: 1s\nDownload Time: 5ms\nProcess Time: 1s\nUpload Time: 0ms\n"
        f"PFS State: edges.meta@{ID}:/pfs/d1\n"
        f"Inputs:\nREPO   COMMIT                           PATH\nimages {ID} /a.png\n"
    )
    server.script["datums.InspectDatumUsage"] = own.DatumUsage(usage=usage(1, 300_000, 1 << 20))
    out = pachctl("inspect", "datum", f"edges@{ID}", "d1").out
    assert "Reason" not in out
    assert "Upload Time: 0ms\nCPU Time: 300ms\nPeak Memory: 1MiB\nPFS State" in out


def test_why_a_datum_did_not_succeed_is_listed_and_shown(pachctl, server, context):
    reason = "exit 4 after 3 tries; last lines: no " + "such file " * 9
    known = own.DatumUsage(usage=usage(1, 0, 0), reason=reason, tries=3)
    server.script["pps.ListDatum"] = [datum(pps.SUCCESS), datum(pps.FAILED), datum(pps.FAILED)]
    server.script["datums.ListDatumFailure"] = [own.DatumFailure(datum="d1", state=pps.FAILED, reason=reason)]
    rows = pachctl("list", "datum", f"edges@{ID}").out.splitlines()
    assert [row.split(":/a.png ")[1].split()[0] for row in rows[1:]] == ["success", "failed:", "failed:"]
    assert "failed: exit 4 after 3 tries; last lines: no such" in rows[2]
    assert len(rows[2]) < 140
    assert len([call for call in server.calls if call.name == "datums.ListDatumFailure"]) == 1
    server.script["pps.InspectDatum"] = datum(pps.FAILED)
    server.script["datums.InspectDatumUsage"] = known
    told = pachctl("inspect", "datum", f"edges@{ID}", "d1")
    assert f"State: failed\nReason: {reason.strip()}\nTries: 3\n" in told.out
    assert f"`pachctl replay edges@{ID} d1` runs it again" in told.err


def test_datums_that_a_job_left_out_are_counted(pachctl, server, context):
    left = job(data_failed=2, reason="2 of 8 datums quarantined, to be tried again by the next job")
    server.script["pps.ListJob"] = server.script["pps.InspectJob"] = [left]
    assert "success (2 quarantined)" in pachctl("list", "job", "-p", "edges").out
    server.script["pps.InspectJob"] = left
    out = pachctl("inspect", "job", f"edges@{ID}").out
    assert "Failed: 2\nQuarantined: 2, to be tried again by the next job\n" in out


def test_a_datum_that_a_job_succeeded_without_is_quarantined(pachctl, server, context):
    server.script["pps.InspectJob"] = job(data_failed=1)
    server.script["pps.ListDatum"] = [datum(pps.SUCCESS), datum(pps.FAILED), datum(pps.FAILED)]
    server.script["datums.ListDatumFailure"] = [own.DatumFailure(datum="d1", state=pps.FAILED, reason="exit 4")]
    rows = pachctl("list", "datum", f"edges@{ID}").out.splitlines()
    assert [row.split(":/a.png ")[1].split()[0] for row in rows[1:]] == ["success", "quarantined:", "quarantined:"]
    assert len([call for call in server.calls if call.name == "pps.InspectJob"]) == 1
    server.script["pps.InspectDatum"] = datum(pps.FAILED)
    server.script["datums.InspectDatumUsage"] = own.DatumUsage(usage=usage(1, 0, 0), reason="exit 4", tries=3)
    assert "State: quarantined\nReason: exit 4\n" in pachctl("inspect", "datum", f"edges@{ID}", "d1").out


# Logs.

LINES = [
    pps.LogMessage(message="hello\n", user=True, worker_id="w1"),
    pps.LogMessage(message="starting datum", worker_id="w1"),
    pps.LogMessage(message="there", user=True, worker_id="w2"),
]


def test_logs_are_what_the_code_said(pachctl, server, context):
    server.script["pps.GetLogs"] = LINES
    assert pachctl("logs", "-p", "edges").out == "hello\nthere\n"
    request = server.calls[-1].request
    assert (request.pipeline.name, request.since.seconds, request.follow, request.tail) == ("edges", 86400, False, 0)
    assert pachctl("logs", "-p", "edges", "--worker", "w2").out == "there\n"
    assert pachctl("logs", "-p", "edges", "--master").out == "hello\nstarting datum\nthere\n"
    raw = [json.loads(line) for line in pachctl("logs", "-p", "edges", "--raw").out.splitlines()]
    assert raw[1] == {"message": "starting datum", "worker_id": "w1"}


@pytest.mark.parametrize("tail", [1, 2, 3, 40])
def test_the_last_lines_are_lines_of_the_code(pachctl, server, context, tail):
    lines = [pps.LogMessage(message=str(at), user=at % 10 == 0) for at in range(100)]
    server.script["pps.GetLogs"] = lambda request: lines[-request.tail :] if request.tail else lines
    assert pachctl("logs", "-p", "edges", "-t", str(tail)).out.split() == [str(at) for at in range(0, 100, 10)][-tail:]


def test_logs_of_a_job_and_a_datum(pachctl, server, context):
    server.script["pps.GetLogs"] = []
    line = f"logs -j edges@{ID} --datum d1 --inputs /a,/b -f -t 5"
    assert pachctl(*line.split()).status == 0
    request = server.calls[-1].request
    assert (request.job.id, request.datum.id, list(request.data_filters)) == (ID, "d1", ["/a", "/b"])
    assert (request.follow, request.tail, request.HasField("since")) == (True, 5, False)
    pachctl("logs", "-p", "edges", "--datum", "d1", "--inputs", "/a")
    request = server.calls[-1].request
    assert (request.pipeline.name, request.datum.id, list(request.data_filters)) == ("edges", "d1", ["/a"])
    assert not request.datum.job.id
    pachctl("logs", "-j", f"edges@{ID}", "--since", "1h30m0.5s")
    assert server.calls[-1].request.since == Duration(seconds=5400, nanos=500_000_000)


@pytest.mark.parametrize(
    "line",
    [
        "logs",
        f"logs -p a -j a@{ID}",
        "logs -p a --since yesterday",
        "logs -j @a",
        "logs -p a -t 0",
    ],
)
def test_logs_of_nothing_in_particular(pachctl, server, context, line):
    done = pachctl(*line.split())
    assert done.status == 1
    assert server.calls == []


def test_a_job_is_named_by_a_branch_of_its_output(pachctl, server, context):
    server.script["pfs.InspectCommit"] = pfs.CommitInfo(commit=pfs.Commit(id=OTHER))
    server.script["pps.InspectJob"] = job(OTHER)
    assert pachctl("inspect", "job", "edges@kept~1").out.startswith(f"ID: {OTHER}")
    asked = server.only("pfs.InspectCommit").request.commit
    assert (asked.repo.name, asked.id) == ("edges", "kept~1")
    request = server.only("pps.InspectJob").request
    assert (request.job.pipeline.name, request.job.id) == ("edges", OTHER)


def test_a_pipeline_alone_is_its_newest_job(pachctl, server, context):
    server.script["pps.ListJob"] = JOBS[1:]
    server.script["datums.Why"] = []
    assert pachctl("why", "edges").status == 0
    asked = server.only("pps.ListJob").request
    assert (asked.pipeline.name, asked.number) == ("edges", 1)
    assert server.only("datums.Why").request.job.id == OTHER
    server.script["pps.ListJob"] = []
    assert pachctl("list", "datum", "edges").err == (
        "pipeline default/edges has no job yet: it gets one with the next commit to an input; "
        "`pachctl inspect pipeline default/edges` shows what it reads\n"
    )


@pytest.mark.parametrize("words", [("stop", "job"), ("delete", "job"), ("restart", "datum")])
def test_what_changes_a_job_wants_to_know_which(pachctl, server, context, words):
    told = pachctl(*words, "edges", *(["/a"] if words[0] == "restart" else []))
    assert (told.status, "expected pipeline@id" in told.err) == (1, True)
    assert not server.calls
