"""Errors on the wire: a code for every kind, details always, no tracebacks."""

from __future__ import annotations

import errno
import logging
from urllib.parse import quote

import pytest
from grpc import StatusCode

from trunkline.ambient import SimulatedAmbient
from trunkline.api.errors import GRPC_CODE, status_of
from trunkline.errors import InvalidArgument, Kind, NotFound, TrunklineError

AMBIENT = SimulatedAmbient()


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_code(kind: Kind) -> None:
    assert GRPC_CODE[kind].name == kind.name


def test_the_message_is_the_details() -> None:
    status = status_of(NotFound("repo default/images not found"), "/pfs_v2.API/InspectRepo", AMBIENT)
    assert (status.code, status.details) == (StatusCode.NOT_FOUND, "repo default/images not found")


def test_details_are_never_empty() -> None:
    assert status_of(InvalidArgument(), "/a/b", AMBIENT).details


def test_a_bug_is_logged_under_an_id_and_told_without_its_insides(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        try:
            raise KeyError("secret inside")
        except KeyError as error:
            status = status_of(error, "/pfs_v2.API/Fsck", SimulatedAmbient(7))
    assert status.code is StatusCode.INTERNAL
    assert "secret inside" not in status.details
    label = status.details.rsplit(" ", 1)[1]
    assert label in caplog.text
    assert "secret inside" in caplog.text


def test_a_promise_of_ours_that_does_not_hold_says_which() -> None:
    assert "layer 3 is gone" in status_of(TrunklineError("layer 3 is gone"), "/a/b", AMBIENT).details


def test_a_full_disk_is_no_bug() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert status_of(full, "/a/b", AMBIENT).code is StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("text", ["x" * 100_000, "é€" * 10_000, "line\n" * 5000])
def test_long_details_fit_into_a_header(text: str) -> None:
    details = status_of(InvalidArgument(text), "/a/b", AMBIENT).details
    assert len(quote(details)) < 8000
    assert details.startswith(text[:500])
