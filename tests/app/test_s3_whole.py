"""Pipelines whose code reads and writes S3 buckets, on a real server with real workers and Amazon's own client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)

CLIENT = """
import boto3, os, sys
from botocore.config import Config
from botocore.exceptions import ClientError
key = os.environ["AWS_ACCESS_KEY_ID"]
assert key == os.environ["AWS_SECRET_ACCESS_KEY"]
def client(key=key, secret=key):
    return boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], aws_access_key_id=key,
                        aws_secret_access_key=secret, region_name="us-east-1",
                        config=Config(retries={"total_max_attempts": 1}))
s3 = client()
def keys(bucket, **more):
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, **more).get("Contents", [])]
def refused(call, **words):
    try:
        call(**words)
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise AssertionError("it was not refused")
"""


def code(text: str) -> dict[str, list[str]]:
    return {"cmd": [sys.executable, "-c", CLIENT + text]}


def whole(repo: str, name: str = "", **more: object) -> dict[str, object]:
    return {"pfs": {"repo": repo, "glob": "/", "s3": True, **({"name": name} if name else {}), **more}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ("--workers", "2")) as server:
        yield Site(server)


def test_code_reads_an_input_as_a_bucket_at_its_commit(site: Site) -> None:
    site.pachctl("create", "repo", "fruit")
    site.put("fruit", apple="red", pear="green")
    text = """
assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["fruit"]
assert not os.path.exists("/pfs/fruit") and "fruit" not in os.environ
text = "".join(s3.get_object(Bucket="fruit", Key=key)["Body"].read().decode() for key in keys("fruit"))
assert refused(s3.put_object, Bucket="fruit", Key="plum", Body=b"blue") == "AccessDenied"
assert refused(s3.list_objects_v2, Bucket="out") == "NoSuchBucket"
assert refused(s3.create_bucket, Bucket="mine") == "NotImplemented"

# Nobody else on this machine is let in.
import urllib.request, urllib.error
assert refused(client("default", "default").list_buckets) == "InvalidAccessKeyId"
assert refused(client(key, "other").list_buckets) == "SignatureDoesNotMatch"
try:
    urllib.request.urlopen(os.environ["S3_ENDPOINT"] + "/fruit/apple")
except urllib.error.HTTPError as error:
    assert error.code == 403, error
else:
    raise AssertionError("anybody is let in")
open("/pfs/out/all", "w").write(text + os.environ["fruit_COMMIT"])
"""
    site.create("juice", code(text), input=whole("fruit"))
    assert site.counts("juice") == ("success", 1, 0)
    head = next(documents(site.pachctl("inspect", "commit", "fruit@master", "--raw")))["commit"]["id"]
    assert site.tree("juice") == {"/all": f"redgreen{head}"}


def test_what_is_put_into_out_is_the_output_of_the_job(site: Site) -> None:
    site.pachctl("create", "repo", "words")
    site.put("words", a="1", b="2")
    text = """
for key in keys("given"):
    s3.copy_object(Bucket="out", Key="copied/" + key, CopySource={"Bucket": "given", "Key": key})
s3.put_object(Bucket="out", Key="gone", Body=b"x")
s3.delete_object(Bucket="out", Key="gone")
s3.put_object(Bucket="out", Key="folder/", Body=b"")
big = b"0123456789abcdef" * (1 << 19)
begun = s3.create_multipart_upload(Bucket="out", Key="big")["UploadId"]
parts = [s3.upload_part(Bucket="out", Key="big", UploadId=begun, PartNumber=n, Body=body)["ETag"]
         for n, body in ((1, big), (2, b"end"))]
s3.complete_multipart_upload(Bucket="out", Key="big", UploadId=begun, MultipartUpload={
    "Parts": [{"ETag": etag, "PartNumber": n} for n, etag in enumerate(parts, 1)]})
assert s3.get_object(Bucket="out", Key="big", Range="bytes=8388604-")["Body"].read() == b"cdefend"
assert keys("out") == [] and s3.head_object(Bucket="out", Key="big")["ContentLength"] == len(big) + 3
open("/pfs/out/beside", "w").write("file")
"""
    site.create("shelf", code(text), input=whole("words", "given"), s3_out=True)
    assert site.counts("shelf") == ("success", 1, 0)
    tree = site.tree("shelf")
    assert tree.pop("/big") == "0123456789abcdef" * (1 << 19) + "end"
    assert tree == {"/copied/a": "1", "/copied/b": "2", "/beside": "file"}


def test_with_s3_out_every_datum_runs_in_every_job_and_nothing_of_the_last_one_stays(site: Site) -> None:
    site.pachctl("create", "repo", "rows")
    site.put("rows", a="1", b="2")
    text = """
(name,) = os.listdir("/pfs/rows")
s3.put_object(Bucket="out", Key=f"{name}-{os.environ['PACH_JOB_ID']}", Body=open(f"/pfs/rows/{name}", "rb").read())
"""
    site.create("anew", code(text), input={"pfs": {"repo": "rows", "glob": "/*"}}, s3_out=True)
    assert site.counts("anew") == ("success", 2, 0)
    first = site.tree("anew")
    assert sorted(first.values()) == ["1", "2"]
    site.put("rows", c="3")
    assert site.counts("anew") == ("success", 3, 0)
    second = site.tree("anew")
    assert sorted(second.values()) == ["1", "2", "3"]
    assert not first.keys() & second.keys()
    job = site.job("anew")["job"]["id"]
    assert "s3_out" in site.pachctl("why", f"anew@{job}")
    datum = next(documents(site.pachctl("list", "datum", f"anew@{job}", "--raw")))["datum"]["id"]
    assert "S3 buckets" in site.refused("replay", f"anew@{job}", datum)


def test_code_runs_once_on_an_empty_bucket_and_its_own_tries_start_anew(site: Site) -> None:
    site.pachctl("create", "repo", "empty")
    site.pachctl("create", "branch", "empty@master")
    text = """
assert keys("none") == []
s3.put_object(Bucket="out", Key=os.path.basename(os.path.realpath("/tmp/tried")), Body=b"x")
if not os.path.exists("/tmp/tried"):
    open("/tmp/tried", "w").close()
    s3.put_object(Bucket="out", Key="first", Body=b"left by a try that failed")
    sys.exit(1)
"""
    site.create("once", code(text), input=whole("empty", "none"), s3_out=True, datum_tries=2)
    assert site.counts("once") == ("success", 1, 0)
    assert site.tree("once") == {"/tried": "x"}


def test_a_path_cannot_be_a_file_and_a_directory(site: Site) -> None:
    site.pachctl("create", "repo", "both")
    site.put("both", a="1")
    text = """
s3.put_object(Bucket="out", Key="a", Body=b"x")
assert refused(s3.put_object, Bucket="out", Key="a/b", Body=b"x") == "InvalidArgument"
open("/pfs/out/a", "w").close()
"""
    site.create("twice", code(text), input=whole("both"), s3_out=True, datum_tries=1)
    job = site.job("twice")
    assert job["state"] == "JOB_FAILURE"
    assert "put it into the bucket out" in json.dumps(job)
