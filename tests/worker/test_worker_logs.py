"""Log lines: cut, bounded, gathered into segments."""

from __future__ import annotations

import json

from trunkline.ambient import SimulatedAmbient
from trunkline.worker.inputs.masks import mask_of
from trunkline.worker.logs import MAX_LINE_BYTES, SEGMENT_BYTES, Journal, Lines
from trunkline.worker.ports import LogSegment, SecretFolder, Step


def cut(*pieces: tuple[int, bytes], limit: int = 1 << 30) -> list[str]:
    lines: list[str] = []
    cutter = Lines(lines.append, limit)
    for stream, data in pieces:
        cutter.feed(stream, data)
    cutter.end()
    return lines


def test_lines_are_put_together_per_stream() -> None:
    assert cut((1, b"he"), (2, b"err\nor"), (1, b"llo\r\n\nend"), (2, b"\n")) == ["err", "hello", "", "or", "end"]


def test_long_lines_are_cut() -> None:
    line = b"x" * (2 * MAX_LINE_BYTES + 5)
    assert [len(each) for each in cut((1, line + b"\n"))] == [MAX_LINE_BYTES, MAX_LINE_BYTES, 5]
    pieces = [(1, line[at : at + 1000]) for at in range(0, len(line), 1000)]
    assert "".join(cut(*pieces)) == line.decode()
    assert max(len(each) for each in cut(*pieces)) == MAX_LINE_BYTES


def test_past_the_limit_it_counts_and_keeps_nothing() -> None:
    lines = cut(*[(1, b"0123456789\n")] * 100, limit=55)
    assert lines[:-1] == ["0123456789"] * 5
    assert lines[-1].startswith("… 1,045 more bytes of output are not kept")


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert cut((1, b"\xff\x00a\n")) == ["\ufffd\x00a"]


def test_the_tail_is_the_last_lines_that_say_something() -> None:
    cutter = Lines(lambda line: None)
    cutter.feed(2, b"\n".join(b"line %d\n" % n for n in range(9)) + b"no end")
    cutter.end()
    assert cutter.tail() == ("line 5", "line 6", "line 7", "line 8", "no end")


def test_secrets_are_masked_whatever_their_form() -> None:
    key = b"-----BEGIN KEY-----\nMIIEpAIBAAKC\n}\n-----END KEY-----\n"
    step = Step(
        ("true",),
        secret_env={"TOKEN": b"hunter22\n", "SHORT": b"yes", "LONGER": b"hunter22-and-more"},
        secrets=(SecretFolder("/keys", (("key", key), ("binary", b"\xff\xfe123456"))),),
    )
    mask = mask_of(step)
    assert mask("with hunter22-and-more, hunter22, yes") == "with ***, ***, yes"
    assert mask("  MIIEpAIBAAKC } 123456") == "  *** } 123456"
    assert mask_of(Step(("true",)))("hunter22") == "hunter22"


def test_segments_go_out_by_size_and_by_age() -> None:
    ambient, segments = SimulatedAmbient(), list[LogSegment]()
    journal = Journal("claim", ambient, segments.append)
    journal.user("d1", "first")
    journal.flush(old_only=True)
    assert not segments
    ambient.advance(1.0)
    journal.system("second", "d1")
    journal.flush(old_only=True)
    (segment,) = segments
    rows = [json.loads(line) for line in segment.data.splitlines()]
    assert [(row["datum"], row["user"], row["message"]) for row in rows] == [
        ("d1", True, "first"),
        ("d1", False, "second"),
    ]
    assert (segment.claim, segment.lines) == ("claim", 2)
    assert segment.first_us == rows[0]["ts"] < rows[1]["ts"] == segment.last_us
    for _ in range(3 * SEGMENT_BYTES // 1000):
        journal.user("d2", "x" * 1000)
    assert len(segments) == 4
    journal.flush()
    journal.flush()
    assert sum(each.lines for each in segments) == 2 + 3 * SEGMENT_BYTES // 1000
