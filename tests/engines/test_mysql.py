"""A MariaDB server of one's own: rows are in its tables as the files say, or nothing is, whatever the server allows."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mariadb import PASSWORD, File, Server

from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, TrunklineError, Unavailable
from trunkline.storage.databases import Layout, open_database, write_rows

pytestmark = pytest.mark.engines


def test_rows_are_what_the_files_say(server: Server) -> None:
    server.run(
        "create table days (id bigint unsigned primary key, day date, at datetime(6), ts timestamp(3) null,"
        " part decimal(30, 12), good boolean, kind enum('a', 'b'), doc json, note text, raw blob, bits bit(8),"
        " f double)",
        "insert into days (id) values (9)",
    )
    first = (
        b"18446744073709551615,2026-01-02,2026-01-02T03:04:05.5,2026-01-02T03:04:05+02:00,"
        b'123456789012345678.123456789012,true,b,"{""a"": 1}","x, ""y"" \\n \'%s\' \xf0\x9f\x9a\x82",\\x00ff,5,1e-300\n'
    )
    empty = b'0,,,,,,,,"",,,\n'
    assert server.write(Layout("CSV"), ("/days/f", first), ("/days/g", empty)) == {"days": 2}
    shown = (
        "select id, day, cast(at as char), unix_timestamp(ts), part, good, kind, doc, note, hex(raw), bits + 0, f from"
    )
    lone, whole = server.run(f"{shown} days order by id")
    assert lone == (0, *[None] * 7, "", *[None] * 3)
    assert [str(one) for one in whole] == [
        "18446744073709551615",
        "2026-01-02",
        "2026-01-02 03:04:05.500000",
        "1767315845.000",
        "123456789012345678.123456789012",
        "1",
        "b",
        '{"a": 1}',
        "x, \"y\" \\n '%s' \N{STEAM LOCOMOTIVE}",
        "00FF",
        "5",
        "1e-300",
    ]
    lines = b'{"id": 3, "doc": {"b": ["\\u00e9", null]}, "good": false, "part": 1.5}\n{"id": 4, "note": null}\n'
    assert server.write(Layout("JSON"), ("/days/f", lines)) == {"days": 2}
    assert server.run("select id, doc, good, part + 0.0 from days where id = 3")[0][:3] == (3, '{"b": ["é", null]}', 0)
    moment = pa.array([1_767_315_845_000_000_123, None], pa.timestamp("ns", "Europe/Berlin"))
    table = pa.table({"id": [1, 2], "ts": moment, "good": [True, None], "raw": [b"\x00'\\", None]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert server.write(Layout("PARQUET"), ("/days/f", sink.getvalue())) == {"days": 2}
    found = server.run("select id, unix_timestamp(ts), good, raw from days order by id")
    assert [(row[0], str(row[1]), *row[2:]) for row in found] == [
        (1, "1767315845.000", 1, b"\x00'\\"),
        (2, "None", None, None),
    ]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("tinyint", "300", "Out of range value"),
        ("int", "3.7", '"3.7" is no int64'),
        ("int unsigned", "-1", '"-1" is no uint64'),
        ("varchar(3)", "four", "Data too long"),
        ("date", "0000-00-00", "is no date32"),
        ("datetime", "2026-02-30 00:00:00", "is no timestamp"),
        ("decimal(4, 2)", "1.5x", "Data truncated for column"),
        ("decimal(4, 2)", "123.5", "Out of range value"),
        ("enum('a', 'b')", "1", '"1" is none of a, b'),
        ("set('a', 'b')", '"a,3"', '"a,3" is none of a, b'),
        ("double", "nan", "nan can not be used"),
        ("json", "{", "CONSTRAINT"),
        ("varchar(9) charset latin1", "\N{STEAM LOCOMOTIVE}", "Incorrect string value"),
        ("int not null", "", "cannot be null"),
        ("blob", r"\x0", "is not hexadecimal"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_row(server: Server, column: str, value: str, told: str) -> None:
    """Also where the server, as it is set up, would have made another value of it."""
    some = "1" if "not null" in column else ""
    create = f"create table kept (id int, v {column})"
    server.run("drop table if exists kept", create, f"insert into kept values (1, {some or 'default'})")
    good = server.run("select * from kept")
    lines = "".join(f"{at},{some}\n" for at in range(41)) + f"41,{value}\n42,{some}\n"
    with pytest.raises((InvalidArgument, FailedPrecondition)) as caught:
        server.write(Layout("CSV"), ("/kept/a", b""), ("/kept/f", lines.encode()))
    assert told in str(caught.value)
    assert "/kept/f, row 42: " in str(caught.value)
    assert server.run("select * from kept") == good


def test_other_sessions_see_all_of_it_or_nothing(server: Server) -> None:
    server.run("create table seen (id int primary key)", "create table other (id int)", "insert into seen values (1)")
    many = b"".join(b"%d\n" % at for at in range(25_000))
    counts = set()

    def wanted() -> bool:
        counts.add(server.run("select count(*) from seen")[0])
        return True

    assert server.write(Layout("CSV"), ("/seen/a", many), ("/other/b", b"1\n"), wanted=wanted) == {
        "other": 1,
        "seen": 25_000,
    }
    assert counts == {(1,)}
    assert server.run("select count(*), max(id) from seen") == [(25_000, 24_999)]
    with pytest.raises(Aborted):
        server.write(Layout("CSV"), ("/seen/a", b"1\n"), ("/other/b", b"1\n"), wanted=iter([True, False]).__next__)
    with pytest.raises(FailedPrecondition, match="/seen/b, row 3: Duplicate entry '24999'"):
        server.write(Layout("CSV"), ("/seen/a", many), ("/seen/b", b"30000\n30001\n24999\n"))
    assert server.run("select count(*), max(id) from seen") == [(25_000, 24_999)]


def test_names_are_quoted_and_columns_that_are_computed_are_left_out(server: Server) -> None:
    server.run("create table `a``b\"c'%s d` (`x'y %s` int, `select` int, twice int as (`select` * 2))")
    assert server.write(Layout("CSV"), ("/a`b\"c'%s d/f", b"1,2\n")) == {"a`b\"c'%s d": 1}
    assert server.run("select * from `a``b\"c'%s d`") == [(1, 2, 4)]
    assert server.write(Layout("CSV", ("select",)), ("/a`b\"c'%s d/f", b"select\n7\n")) == {"a`b\"c'%s d": 1}


def test_what_cannot_be_taken_back_is_refused_before_it_is_touched(server: Server) -> None:
    server.run(
        "create table plain (id int) engine=MyISAM",
        "insert into plain values (1)",
        "create table below (id int)",
        "create view above as select * from below",
    )
    with pytest.raises(FailedPrecondition, match=r"kept by MyISAM, which knows no transactions.*ENGINE=InnoDB"):
        server.write(Layout("CSV"), ("/plain/f", b"2\n"))
    assert server.run("select * from plain") == [(1,)]
    with pytest.raises(FailedPrecondition, match="above is no table but a view"):
        server.write(Layout("CSV"), ("/above/f", b"2\n"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("", "not-mine"), "Access denied"),
        (("/tests", "/nowhere"), "Unknown database"),
        (("@127.0.0.1", "@localhost.invalid"), "localhost.invalid"),
        (("/tests", "/tests?tls=true"), "SSL"),
    ],
)
def test_what_may_be_gone_later_is_unavailable(server: Server, change: tuple[str, str], told: str) -> None:
    old, new = change
    url, password = (server.url.replace(old, new), PASSWORD) if old else (server.url, new)
    with pytest.raises(TrunklineError) as caught:
        write_rows(open_database(url, password), [File("/t/f", b"1")], Layout("CSV"), lambda: True)  # type: ignore[list-item]
    assert told in str(caught.value)
    assert isinstance(caught.value, FailedPrecondition if "nowhere" in url else Unavailable)
    assert password not in str(caught.value)


def test_a_lock_that_another_session_holds_is_waited_for_and_then_unavailable(server: Server) -> None:
    server.run(
        "create table locked (id int)", "insert into locked values (1)", "set global innodb_lock_wait_timeout = 1"
    )
    with server.connect() as other:
        other.begin()
        other.cursor().execute("select * from locked for update")
        with pytest.raises(Unavailable, match="Lock wait timeout"):
            server.write(Layout("CSV"), ("/locked/f", b"2\n"))
    assert server.write(Layout("CSV"), ("/locked/f", b"2\n")) == {"locked": 1}
