"""Instants and spans between protobuf and our microseconds."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from trunkline.ambient import Micros
from trunkline.errors import InvalidArgument

MILLION = 1_000_000


def timestamp(instant_us: Micros) -> Timestamp:
    """An instant for the wire."""
    seconds, micros = divmod(instant_us, MILLION)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def micros(stamp: Timestamp) -> Micros:
    """An instant from the wire; what is finer than a microsecond is cut off."""
    return stamp.seconds * MILLION + stamp.nanos // 1000


def duration(span_us: Micros) -> Duration:
    """A span for the wire. Seconds and nanoseconds have one sign, as protobuf asks."""
    seconds, rest = divmod(abs(span_us), MILLION)
    sign = -1 if span_us < 0 else 1
    return Duration(seconds=sign * seconds, nanos=sign * rest * 1000)


def span_us(span: Duration) -> Micros:
    """A span from the wire. Raises InvalidArgument where it is longer than protobuf allows."""
    if abs(span.seconds) > 315_576_000_000:
        raise InvalidArgument(f"a duration of {span.seconds} seconds is longer than 10,000 years")
    return span.seconds * MILLION + int(span.nanos / 1000)
