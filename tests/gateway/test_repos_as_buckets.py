"""Repos through S3, on a real server, as the clients of Amazon, of Arrow and of Rust's object_store use them."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import obstore
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store
from pyarrow import fs

from trunkline.testing.serving import PachdProcess, documents

BIG = bytes(range(256)) * (23 << 10)  # 5.75 MiB


class Site:
    """A server and its S3."""

    def __init__(self, server: PachdProcess) -> None:
        self.server = server

    @property
    def address(self) -> str:
        found = re.search(r"^pachd is serving S3 on (\S+)$", self.server.log.read_text(), re.M)
        assert found is not None
        return found[1]

    def client(self, key: str = "default", secret: str = "default", address: str = "") -> Any:
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client(
            "s3", endpoint_url=f"http://{address or self.address}", aws_access_key_id=key, aws_secret_access_key=secret,
            region_name="us-east-1", config=config,
        )  # fmt: skip

    def pachctl(self, *words: str, stdin: bytes = b"") -> str:
        return self.server.pachctl(*words, stdin=stdin)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    flags = ("--workers", "0", "--s3", "127.0.0.1:0")
    with PachdProcess(tmp_path_factory.mktemp("pachd"), flags) as server:
        yield Site(server)


@pytest.fixture(scope="module")
def s3(site: Site) -> Any:
    return site.client()


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = str(request.node.name)[:60]
    s3.create_bucket(Bucket=name)
    return name


def code(call: Callable[..., object], **words: object) -> str:
    with pytest.raises(ClientError) as caught:
        call(**words)
    return str(caught.value.response["Error"]["Code"])


def body(s3: Any, bucket: str, key: str, **more: object) -> bytes:
    return bytes(s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read())


def keys(s3: Any, bucket: str, **more: object) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, **more).get("Contents", [])]


def test_a_branch_is_a_bucket(site: Site, s3: Any) -> None:
    site.pachctl("create", "project", "vision")
    for name in ("dev.made.vision", "made"):
        s3.create_bucket(Bucket=name)
        assert code(s3.create_bucket, Bucket=name) == "BucketAlreadyOwnedByYou"
        assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    listed = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert [name for name in listed if "made" in name] == ["dev.made.vision", "master.made"]
    assert "dev" in site.pachctl("list", "branch", "made", "--project", "vision")
    for wrong in ("a.b.c.d", "a..b", "b+a.x", "0" * 32 + ".made"):
        request = http.client.HTTPConnection(site.address)
        request.request("PUT", f"/{wrong}")
        answer = request.getresponse().read()
        assert b"<Code>InvalidBucketName</Code>" in answer, wrong
    assert code(s3.create_bucket, Bucket="dev.made.nowhere") == "NoSuchBucket"
    s3.put_object(Bucket="made", Key="a", Body=b"1")
    assert code(s3.delete_bucket, Bucket="made") == "BucketNotEmpty"
    s3.delete_object(Bucket="made", Key="a")
    s3.delete_bucket(Bucket="made")
    s3.delete_bucket(Bucket="dev.made.vision")
    assert code(s3.list_objects_v2, Bucket="made") == "NoSuchBucket"
    assert "made" not in site.pachctl("list", "repo", "--all-projects")


def test_objects_are_files_and_each_write_a_commit(site: Site, s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="a/é b+%.txt", Body=b"hello")
    s3.put_object(Bucket=bucket, Key="a/é b+%.txt", Body=io.BytesIO(b"hello again"))
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
    assert site.pachctl("get", "file", f"{bucket}@master:/a/é b+%.txt") == "hello again"
    assert keys(s3, bucket) == ["a/é b+%.txt", "empty"]
    head = s3.head_object(Bucket=bucket, Key="a/é b+%.txt")
    (info,) = documents(site.pachctl("inspect", "file", f"{bucket}@master:/a/é b+%.txt", "--raw"))
    assert head["ContentLength"] == 11
    assert head["LastModified"].strftime("%Y-%m-%dT%H:%M:%S") == info["committed"][:19]
    assert code(s3.get_object, Bucket=bucket, Key="a") == "NoSuchKey"
    assert code(s3.put_object, Bucket=bucket, Key="a", Body=b"") == "InvalidRequest"
    assert code(s3.put_object, Bucket=bucket, Key="empty/x", Body=b"") == "InvalidRequest"
    assert code(s3.put_object, Bucket=bucket, Key="a/../b", Body=b"") == "InvalidFilePath"
    assert body(s3, bucket, "a/é b+%.txt", VersionId=first["VersionId"]) == b"hello"
    assert body(s3, bucket, "a/é b+%.txt", VersionId="HEAD^^") == b"hello"
    assert code(s3.get_object, Bucket=bucket, Key="empty", VersionId="HEAD^^^^^^^^") == "NoSuchVersion"
    assert body(s3, f"{first['VersionId']}.{bucket}", "a/é b+%.txt") == b"hello"
    assert code(s3.put_object, Bucket=f"{first['VersionId']}.{bucket}", Key="x", Body=b"") == "InvalidRequest"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    off = {"Status": "Suspended"}
    assert code(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=off) == "InvalidArgument"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert code(s3.list_object_versions, Bucket=bucket) == "NotImplemented"
    assert code(s3.get_object_tagging, Bucket=bucket, Key="empty") == "NotImplemented"


def test_what_is_written_into_an_open_commit_is_part_of_it(site: Site, s3: Any, bucket: str) -> None:
    commit = site.pachctl("start", "commit", f"{bucket}@master").strip()
    s3.put_object(Bucket=bucket, Key="by-branch", Body=b"1")
    s3.put_object(Bucket=f"{commit}.{bucket}", Key="by-id", Body=b"2")
    assert keys(s3, bucket) == ["by-branch", "by-id"]
    site.pachctl("finish", "commit", f"{bucket}@master")
    (only,) = documents(site.pachctl("list", "commit", f"{bucket}@master", "--raw"))
    assert only["commit"]["id"] == commit


def test_ranges_and_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"0123456789")["ETag"]
    for asked, expected in [
        ("0-3", b"0123"),
        ("7-", b"789"),
        ("-2", b"89"),
        ("5-99", b"56789"),
        ("-99", b"0123456789"),
    ]:
        found = s3.get_object(Bucket=bucket, Key="a", Range=f"bytes={asked}")
        assert (found["Body"].read(), found["ResponseMetadata"]["HTTPStatusCode"]) == (expected, 206)
    assert code(s3.get_object, Bucket=bucket, Key="a", Range="bytes=10-") == "InvalidRange"
    assert body(s3, bucket, "a", IfMatch=etag) == b"0123456789"
    assert code(s3.get_object, Bucket=bucket, Key="a", IfMatch='"other"') == "PreconditionFailed"
    assert code(s3.get_object, Bucket=bucket, Key="a", IfNoneMatch=etag) == "304"
    at = s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    assert code(s3.head_object, Bucket=bucket, Key="a", IfModifiedSince=at) == "304"
    assert code(s3.put_object, Bucket=bucket, Key="a", Body=b"", IfNoneMatch="*") == "PreconditionFailed"
    s3.put_object(Bucket=bucket, Key="b", Body=b"1", IfNoneMatch="*")
    assert code(s3.put_object, Bucket=bucket, Key="b", Body=b"2", IfMatch=etag) == "NotImplemented"
    assert code(s3.put_object, Bucket=bucket, Key="c", Body=b"1", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==") == "BadDigest"
    assert keys(s3, bucket) == ["a", "b"]


def test_of_many_that_make_one_object_one_does(s3: Any, bucket: str) -> None:
    def make(number: int) -> str:
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "made"

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(make, range(6))) == ["PreconditionFailed"] * 5 + ["made"]


def test_copies_and_removals(site: Site, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    copied = s3.copy_object(Bucket=bucket, Key="d/b", CopySource={"Bucket": bucket, "Key": "a"})
    assert copied["CopyObjectResult"]["ETag"] == s3.head_object(Bucket=bucket, Key="a")["ETag"]
    s3.copy_object(Bucket=bucket, Key="a", CopySource={"Bucket": bucket, "Key": "d/b"})
    assert (body(s3, bucket, "a"), body(s3, bucket, "d/b")) == (b"1", b"1")
    missing = {"Bucket": bucket, "Key": "d"}
    assert code(s3.copy_object, Bucket=bucket, Key="x", CopySource=missing) == "NoSuchKey"
    commits = len(list(documents(site.pachctl("list", "commit", f"{bucket}@master", "--raw"))))
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ("a", "d/b", "never")]})
    assert [one["Key"] for one in gone["Deleted"]] == ["a", "d/b", "never"]
    s3.delete_object(Bucket=bucket, Key="a")
    assert keys(s3, bucket) == []
    assert len(list(documents(site.pachctl("list", "commit", f"{bucket}@master", "--raw")))) == commits + 1
    assert code(s3.delete_object, Bucket=bucket, Key="a", VersionId="x") == "NotImplemented"


def test_listings_come_in_pages(site: Site, s3: Any, bucket: str, tmp_path: Path) -> None:
    for number in range(1105):
        (tmp_path / f"{number % 3}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 3}" / f"{number:04d}").write_text("x")
    site.pachctl("put", "file", f"{bucket}@master:/", "-r", "-f", str(tmp_path))
    for name in ("list_objects", "list_objects_v2"):

        def all_of(name: str = name, **more: Any) -> list[str]:
            pages = s3.get_paginator(name).paginate(Bucket=bucket, **more)
            return [one for page in pages for one in page.get("Contents", []) + page.get("CommonPrefixes", [])]

        assert len(all_of()) == 1105
        found = [one["Key"] for one in all_of(Prefix="1/", PaginationConfig={"PageSize": 100})]
        assert found == [f"1/{number:04d}" for number in range(1, 1105, 3)]
        assert [one["Prefix"] for one in all_of(Delimiter="/", PaginationConfig={"PageSize": 1})] == ["0/", "1/", "2/"]
        assert len(all_of(Delimiter="/", Prefix="2/110")) == 2
    assert keys(s3, bucket, StartAfter="2/1100") == ["2/1103"]
    assert code(s3.list_objects_v2, Bucket=bucket, Delimiter="-") == "InvalidDelimiter"
    assert code(s3.list_objects_v2, Bucket=bucket, ContinuationToken="?") == "InvalidArgument"


def test_an_upload_in_parts_outlives_the_server(tmp_path: Path) -> None:
    with PachdProcess(tmp_path, ("--workers", "0", "--s3", "127.0.0.1:0")) as server:
        site = Site(server)
        s3 = site.client()
        s3.create_bucket(Bucket="big")
        about = {"Bucket": "big", "Key": "d/x"}
        upload = s3.create_multipart_upload(**about)["UploadId"]
        other = s3.create_multipart_upload(**about)["UploadId"]
        about["UploadId"] = upload
        s3.upload_part(**about, PartNumber=1, Body=b"another")
        s3.upload_part(**about, PartNumber=1, Body=BIG)
        os.kill(server.pid, signal.SIGKILL)
        server.start(fresh=False)
        s3 = site.client()
        assert {one["UploadId"] for one in s3.list_multipart_uploads(Bucket="big")["Uploads"]} == {upload, other}
        etag = s3.upload_part(**about, PartNumber=7, Body=b"end")["ETag"]
        parts = s3.list_parts(**about)["Parts"]
        assert [(one["PartNumber"], one["Size"]) for one in parts] == [(1, len(BIG)), (7, 3)]

        def done(*numbers: int, **etags: str) -> dict[str, Any]:
            return {"Parts": [{"PartNumber": one, "ETag": etags.get(f"e{one}", etag)} for one in numbers]}

        whole = done(1, 7, e1=parts[0]["ETag"])
        for wrong, why in [
            (done(7, 1), "InvalidPartOrder"), (done(2), "InvalidPart"), (done(1, 7), "InvalidPart"),
        ]:  # fmt: skip
            assert code(s3.complete_multipart_upload, **about, MultipartUpload=wrong) == why
        s3.upload_part(Bucket="big", Key="d/x", UploadId=other, PartNumber=1, Body=b"small")
        small = done(1, 2, e1="", e2="")
        assert code(s3.complete_multipart_upload, **about | {"UploadId": other}, MultipartUpload=small) == "InvalidPart"
        s3.complete_multipart_upload(**about, MultipartUpload=whole)
        assert body(s3, "big", "d/x") == BIG + b"end"
        source = {"Bucket": "big", "Key": "d/x"}
        more = {"Bucket": "big", "Key": "d/x", "UploadId": other}
        s3.upload_part_copy(**more, PartNumber=2, CopySource=source, CopySourceRange="bytes=1-3")
        assert code(s3.complete_multipart_upload, **more, MultipartUpload=small) == "EntityTooSmall"
        s3.complete_multipart_upload(**more, MultipartUpload=done(2, e2=""))
        assert body(s3, "big", "d/x") == BIG[1:4]
        assert code(s3.upload_part, **about, PartNumber=2, Body=b"late") == "NoSuchUpload"
        aborted = {
            "Bucket": "big",
            "Key": "y",
            "UploadId": s3.create_multipart_upload(Bucket="big", Key="y")["UploadId"],
        }
        s3.abort_multipart_upload(**aborted)
        assert code(s3.list_parts, **aborted) == "NoSuchUpload"
        assert "Uploads" not in s3.list_multipart_uploads(Bucket="big")
        assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["master.big"]
        assert "multipart" not in site.pachctl("list", "repo") + site.pachctl("list", "commit")


def test_only_its_pipeline_writes_an_output_branch(site: Site, s3: Any, bucket: str) -> None:
    spec = {
        "pipeline": {"name": "copies"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": bucket, "glob": "/"}},
    }
    site.pachctl("create", "pipeline", stdin=json.dumps(spec).encode())
    assert "master.copies" in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert code(s3.put_object, Bucket="copies", Key="a", Body=b"1") == "WriteToOutputBranch"
    assert code(s3.create_multipart_upload, Bucket="copies", Key="a") == "WriteToOutputBranch"


def test_who_asks(site: Site, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    assert body(site.client("any", "any"), bucket, "a") == b"1"
    assert code(site.client("any", "other").list_buckets) == "SignatureDoesNotMatch"
    # Signed requests are known on the usual address too, where others are for its own pages.
    assert body(site.client(address=site.server.address), bucket, "a") == b"1"
    for address, status in ((site.address, 200), (site.server.address, 404)):
        connection = http.client.HTTPConnection(address)
        connection.request("GET", f"/{bucket}/a")
        answer = connection.getresponse()
        assert (answer.status, answer.read() == b"1") == (status, status == 200)


def test_a_signed_address_is_enough(site: Site, s3: Any, bucket: str) -> None:
    for version in ("s3", "s3v4"):
        maker = boto3.client(
            "s3", endpoint_url=f"http://{site.address}", aws_access_key_id="k", aws_secret_access_key="k",
            region_name="us-east-1", config=Config(signature_version=version),
        )  # fmt: skip
        for method, verb, sent in (("put_object", "PUT", b"by address"), ("get_object", "GET", b"")):
            url = maker.generate_presigned_url(method, Params={"Bucket": bucket, "Key": "a b"})
            connection = http.client.HTTPConnection(site.address)
            connection.request(verb, url.removeprefix(f"http://{site.address}"), sent)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"by address" if verb == "GET" else b"")


def test_arrows_file_system_works_on_a_branch(site: Site, bucket: str) -> None:
    files = fs.S3FileSystem(
        access_key="a", secret_key="a", endpoint_override=site.address, scheme="http", region="us-east-1"
    )
    files.create_dir(f"{bucket}/made/here")
    with files.open_output_stream(f"{bucket}/made/here/big") as stream:
        for _ in range(3):
            stream.write(BIG)
    with files.open_output_stream(f"{bucket}/made/small") as stream:
        stream.write(b"small")
    files.copy_file(f"{bucket}/made/small", f"{bucket}/made/copy")
    found = files.get_file_info(fs.FileSelector(bucket, recursive=True))
    shown = {one.path.removeprefix(f"{bucket}/"): one.size for one in found if one.type == fs.FileType.File}
    assert shown == {"made/here/big": 3 * len(BIG), "made/small": 5, "made/copy": 5}
    with files.open_input_file(f"{bucket}/made/here/big") as stream:
        stream.seek(len(BIG) - 1)
        assert stream.read(3) == BIG[-1:] + BIG[:2]
    files.delete_dir(f"{bucket}/made")
    assert files.get_file_info(f"{bucket}/made").type == fs.FileType.NotFound


def test_object_store_works_on_a_branch(site: Site, bucket: str) -> None:
    store = S3Store(
        bucket, endpoint=f"http://{site.address}", access_key_id="a", secret_access_key="a", region="us-east-1",
        client_options={"allow_http": True},
    )  # fmt: skip
    obstore.put(store, "a/one", b"1")
    obstore.put(store, "a/big", io.BytesIO(BIG * 2), use_multipart=True)
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "a/one", b"2", mode="create")
    obstore.copy(store, "a/one", "b/two")
    assert bytes(obstore.get_range(store, "a/big", start=len(BIG), length=4)) == BIG[:4]
    assert [one["path"] for page in obstore.list(store) for one in page] == ["a/big", "a/one", "b/two"]
    assert obstore.list_with_delimiter(store)["common_prefixes"] == ["a", "b"]
    obstore.delete(store, ["a/one", "a/big"])
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "a/one")


NONSENSE: list[tuple[str, str, dict[str, str], bytes]] = [
    ("POST", "/", {}, b""),
    ("PATCH", "/x/y", {}, b""),
    ("GET", "/%FF/%FF", {}, b""),
    ("GET", "/master.nothing/%00", {}, b""),
    ("PUT", "/{bucket}/%00", {}, b"x"),
    ("PUT", "/{bucket}/" + "x/" * 3000, {}, b"x"),
    ("PUT", "/{bucket}/a", {"x-amz-copy-source": "nonsense"}, b""),
    ("PUT", "/{bucket}/a", {"x-amz-copy-source": "%FF/%FF"}, b""),
    ("PUT", "/{bucket}/a?partNumber=0&uploadId=x", {}, b"x"),
    ("PUT", "/{bucket}/a?partNumber=1&uploadId=x", {}, b"x"),
    ("PUT", "/{bucket}/a", {"content-md5": "x"}, b"x"),
    ("PUT", "/{bucket}/a", {"x-amz-decoded-content-length": "x"}, b"x"),
    ("POST", "/{bucket}?delete", {}, b"<Delete>"),
    ("POST", "/{bucket}?delete", {}, b"<!DOCTYPE a [<!ENTITY b 'c'>]><Delete>&b;</Delete>"),
    ("POST", "/{bucket}?delete", {}, b"<Delete/>"),
    ("POST", "/{bucket}?delete", {"origin": "http://a.page"}, b"<Delete><Object><Key>a</Key></Object></Delete>"),
    ("POST", "/{bucket}/a?uploadId=x", {}, b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>"),
    ("GET", "/{bucket}?list-type=2&max-keys=x", {}, b""),
    ("GET", "/{bucket}?list-type=2&continuation-token=" + "%FF" * 9, {}, b""),
    ("GET", "/{bucket}?acl", {}, b""),
    ("GET", "/{bucket}/a?versionId=^^^", {}, b""),
    ("GET", "/{bucket}/a", {"authorization": "AWS4-HMAC-SHA256 \xff"}, b""),
    ("GET", "/{bucket}/a", {"authorization": "AWS \xff:\xff"}, b""),
]


def test_nonsense_is_refused_in_words(site: Site, bucket: str) -> None:
    connection = http.client.HTTPConnection(site.address)
    for method, path, headers, sent in NONSENSE:
        for _ in range(2):  # and the connection is of use afterwards
            connection.request(method, path.replace("{bucket}", bucket), sent, headers)
            answer = connection.getresponse()
            told = answer.read()
            assert 400 <= answer.status <= 501, (method, path, told)
            assert answer.status != 500, (method, path)
            assert re.search(rb"<Code>\w+</Code><Message>[^<]+</Message>", told), (method, path)
