"""Moments before the instant at which the tests' clock stands."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

NOW_US = 1_800_000_000_000_000


def before(**length: float) -> Timestamp:
    """The moment that long ago."""
    moment = Timestamp()
    moment.FromMicroseconds(NOW_US - int(timedelta(**length).total_seconds() * 1e6))
    return moment
