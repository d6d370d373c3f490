"""What pachd is told: flags, environment, and what is refused in words before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.app.config import Config, default_data, is_loopback, parse, parse_address
from trunkline.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:30650", ("127.0.0.1", 30650)),
        (":0", ("127.0.0.1", 0)),
        ("30650", ("127.0.0.1", 30650)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "1.2.3.4:65536", "host:-1", "host:²"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_which_hosts_only_this_machine_reaches(host: str, private: bool) -> None:
    assert is_loopback(host) is private


def test_a_flag_wins_over_the_environment() -> None:
    environ = {"TRUNKLINE_LISTEN": "127.0.0.1:1", "TRUNKLINE_WORKERS": "3", "TRUNKLINE_DATA": "/somewhere"}
    assert parse([], environ) == Config(data=Path("/somewhere"), port=1, workers=3)
    told = parse(["--listen", "127.0.0.1:2", "--workers", "0", "--data", "/else"], environ)
    assert (told.port, told.workers, told.worker_count, told.data) == (2, 0, 0, Path("/else"))


def test_s3_has_an_address_of_its_own_beside_the_usual_one_or_where_it_is_said() -> None:
    assert parse([], {}).s3 == ("127.0.0.1", 30600)
    assert parse(["--listen", "127.0.0.1:1"], {}).s3 is None
    assert parse(["--s3", "none"], {}).s3 is None
    assert parse(["--listen", "127.0.0.1:1", "--s3", "[::1]:2"], {}).s3 == ("::1", 2)
    assert parse([], {"TRUNKLINE_S3": ":0"}).s3 == ("127.0.0.1", 0)
    with pytest.raises(InvalidArgument, match="--insecure"):
        parse(["--s3", "0.0.0.0:1"], {})


def test_unset_workers_are_one_for_each_core() -> None:
    assert parse([], {"HOME": "/h"}).worker_count >= 1


def test_data_lies_in_the_users_own_folder_by_default() -> None:
    assert default_data({"HOME": "/h"}) == Path("/h/.local/share/trunkline")
    assert default_data({"HOME": "/h", "XDG_DATA_HOME": "/x"}) == Path("/x/trunkline")


def test_an_open_address_needs_consent() -> None:
    with pytest.raises(InvalidArgument, match="--insecure"):
        parse(["--listen", "0.0.0.0:1"], {})
    assert parse(["--listen", "0.0.0.0:1", "--insecure"], {}).host == "0.0.0.0"
    assert parse(["--listen", "0.0.0.0:1"], {"TRUNKLINE_INSECURE": "yes"}).insecure


@pytest.mark.parametrize("flags", [["--workers", "many"], ["--workers", "2000"], ["--runner", "magic"]])
def test_nonsense_is_named(flags: list[str]) -> None:
    with pytest.raises(InvalidArgument, match=flags[1]):
        parse(flags, {})


def test_storage_is_an_object_store_or_the_data_folder():
    assert parse(["--data", "/x"], {}).blobs == "/x/blobs"
    assert parse(["--storage", "s3://b/p?endpoint=http://h:1"], {}).blobs == "s3://b/p?endpoint=http://h:1"
    assert parse([], {"TRUNKLINE_STORAGE": "gs://b"}).blobs == "gs://b"
    with pytest.raises(InvalidArgument, match="is no URL of an object store"):
        parse(["--storage", "/some/folder"], {})


def test_limits_of_caches() -> None:
    config = parse([], {})
    assert (config.cache_bytes, config.index_cache_bytes) == (64 << 20, 2 << 30)
    config = parse(["--cache-bytes", "1Gi"], {"TRUNKLINE_INDEX_CACHE_BYTES": "500M", "TRUNKLINE_CACHE_BYTES": "1"})
    assert (config.cache_bytes, config.index_cache_bytes) == (1 << 30, 500_000_000)
    with pytest.raises(InvalidArgument, match='--cache-bytes "much" is invalid: expected a quantity'):
        parse(["--cache-bytes", "much"], {})
