"""Datum tables of jobs: what was reported goes to its rows, positions have no gaps, version 1 can be read."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.catalog.work.claims import ReportRow
from trunkline.errors import DataLoss
from trunkline.model.datums import ID
from trunkline.model.jobs import DatumState
from trunkline.model.plan import RowClass
from trunkline.model.results import CODE, IMAGE, RESULTS, from_ipc, results, to_ipc
from trunkline.pps.tables import (
    ROWS,
    decode,
    encode,
    failed_result,
    fresh,
    place_next,
    replace,
    rows_at,
    scatter,
    with_reports,
)

GOLDEN = (
    "c-rk(J8Tm{5S{zv^5Fy*DF`El$e;+NOM)m|It3CPC_+jTgb(|aSW0Zmca{?=h3SG2Qc4Pn6cjEgprdd>kuoJ^3W^jIDJe*fnZ4QbdgBX<XpqQC"
    "<IT)_voky1@otuum!GUG0>n6a7JvsdCcp&;Mqmv8!eQ8`18QUVY4az*B+4rJpnNw0KBDZPJVlvBIWYjfpzNZoqRgWFK%Y-2J19k7=jX3D#vmre"
    "&a;gM#cVY;>VD<L%k3x#$yPWeE*Rvya5~)YI!dM9uBo04#cy5ln^yeB`|(;7?1SR-KEsFV(`eSqK^O|BZ;H=hhR-!MKXh`>`abqqcAPNsn^BM?"
    "S5$loiO&f6<P;wVr5X5Py@vTCr=+Z{@<vdiW>pmU9j{CE+`E8}xkLfZ2h684(Yt_OtyO|8`mU9{PcrhRxm>T%^6(7LWiB4h6YFmJYed{ZPB9)H"
    "pXw0STg@^Ox8i>MMx32*W5XvpbQS)7Mjm+lp}oG1x-D!6@$hp=>y|hCFciJyqKt}OlJ)ao3UvpquF#TRG;Zi;!K8gxlAVpA)!{fasE>~@p{cZo"
    "a@@(TSQRW=tkp3g9WKmZEIZ}wQUCHDEl`Iea&|c9`;a|mc+P8fsmuHd8ZPy_JePRB$Mdenm-;l%T@CMQ_<@E?{Wj0X8lI)g{5&I>Z?ZmT4DzKe"
    "<3HALsmpqlG+gR;Snp`K)MY+h)^D-i)A&-C`#sX|BMk>rD}XtO=QTX9;YAHEYIsS*OBxP*&sbU-|GO^xV(#<&X}+|Hg*Ob-vOIYEaOJDn=L_7T"
    "Y8t}isdn#Ge{q)!t<*f_O}+-G1?^U?yzbZ5f=b)3Mqz^IR9^16FvKS8zcG@NdmbMjzz6erBn$>T=*eR-G+$d0<<3ZXHg-dKL0lkz%I{pA?Ec#$"
    "wY&bgFJNe1jv~t4lkyyVXa!r<D8H!XCHFm%?)&oi=wJF@4v&+2QPjc3UoS`89v;`t7Qf?j{Jl`254nEFJa@Fdzj|9<y)CcamjCYClKOT@{IB>M"
    "V)M-|"
)
"""`/rows` of version 1: zlib, then base 85."""

GOLDEN_2 = (
    "c-rk&zi-n(6n_3u_XiQAqKF`s%AgJvLZU?s9kU?u2UKDK)yA>fNKG8Yj?zjDVFMwg4jmX6GB9LhVei1ufuSQ~M}`iJ9cYht=R5oIY6l@CCQf>}e((Ffy"
    "LWd!yNofmY6Db(w>hYQ15+@Ae_=Ch#DHi9e{J~-a2?~T1u($az;H26O@Kp;0}K!2KE|1WI*bF1XBf*Er|A8Jkzmy2c>6yY!^uougDZ2q@wr=JE9&lTzS"
    "v8`nCFg#77Xq^(tI_|=U@b#-e!+G&U5|Qgn4?Moyc$G^Q>#W)$?NCRg6Z|Z|lyE=G)eMi<)mXpHGzdQS*E#@$mELbfX}QV`2KHd5%jwSM>VORJq7K_C@"
    "(TapHHAFfFdGdDc_URMCESLqCq%SU+mKi{f*c;^*FNiVc1*$L0IEKS7VRBq2X*sprq&;RJoN-3WL2S!;FwD5;zGLDb;G!v@}i8Y|X`aa;Zt7rsPIos~a"
    "#an$PuDBNZF{2f+aZ)eBnau{j)VM!f$&7i-%hu9XmBUb!e@^OP5KaR!Stzb-xyQ}uE3JZuG%vJ<S@4j)3J_{yacOzZd3}ziU4{wa`0}2<iJ5-Zzj*1u+"
    "EL)7l-wBXumT)dR(;OqWEZ1m(-W*Z0BWu0~<!wp!F3Bsb>RTtg!gplv$^NeFUlYB;i?SaPenj{q!Yh1B_TLF#hE;u4BkgZUykd;&6;|^<A-uwBKRm)Kd"
    "|ToH;T2Z(j3mA(@gdPGtk!!%_!Gi|NjAV7=Uu|Pgs&66PI!;-9^nUs9}s>>_#xpzeitpWjQ@BtR`+h@^MiBOYvI8fhG|(<c=zb(7c<uj-r~D$h*VY2S6"
    "}6W^B2o}KK{I}n|}k)4*R`!u<f_E!bab3CUMHwbY1PaNH7zIZ;kY3T;^xT`0;uki-Z9Wv)5l?y|xzGH!0KEc-w+i@qzkXeV6vh&i}W`@)iHm0TkBdXrX"
    "=EGM%#q5bib;ca7Ag);*W4`_K95zx4lGo~7Sy_yyb{J$e"
)
"""`/rows` of version 2, as it lies in a file set, of the same rows: zlib, then base 85."""


def ids(count: int) -> pa.Array:
    """IDs of datums."""
    return pa.array([bytes([number]) * 32 for number in range(1, count + 1)], ID)


def report(first: int, *rows: dict[str, object], gen: int = 1) -> ReportRow:
    """Results as a worker reports them."""
    table = results({"row": first + number, **row} for number, row in enumerate(rows))
    return ReportRow(9, gen, first, first + len(rows), (), to_ipc(table))


def test_rows_of_version_1_can_be_read() -> None:
    rows = decode(zlib.decompress(base64.b85decode("".join(GOLDEN))))
    assert rows.schema.equals(ROWS)
    assert rows["class"].to_pylist() == [0, 1, 3]
    assert rows["why"].to_pylist() == ["new", "unchanged", "waits"]
    first, second, _ = rows.to_pylist()
    assert (first["source"], first["code"], first["state"], first["tries"]) == (9, "c0de", 4, 3)
    assert (first["reason"], first["process_us"], first["id"]) == ("exit 1", 7, b"\1" * 32)
    assert (first["index"], second["index"]) == (0, -1)
    assert (second["place"], second["source"], second["state"]) == (-1, -1, 0)


def test_rows_of_version_2_can_be_read() -> None:
    first, second = (decode(zlib.decompress(base64.b85decode("".join(golden)))) for golden in (GOLDEN, GOLDEN_2))
    assert second.equals(first)


def test_rows_written_before_a_column_was_thought_of_are_read_beside_new_ones() -> None:
    old = fresh(ids(2)).drop_columns(["cpu_us", "memory_bytes"])
    assert decode(encode(old)).equals(fresh(ids(2)))
    rows = replace(decode(encode(old)), place=pa.array([0, 1]))
    early = results([{"row": 0, "process_us": 5}]).drop_columns(["cpu_us", "memory_bytes"])
    told = [ReportRow(9, 1, 0, 1, (), to_ipc(early)), report(1, {"cpu_us": 3, "memory_bytes": 7})]
    after = with_reports(rows, told, 9, 1, ("", ""))
    assert after["process_us"].to_pylist() == [5, 0]
    assert after["cpu_us"].to_pylist() == [0, 3]
    assert after["memory_bytes"].to_pylist() == [0, 7]


def test_a_table_is_written_and_read_back() -> None:
    rows = fresh(ids(3))
    assert decode(encode(rows)).equals(rows)
    assert decode(encode(fresh(ids(0)))).num_rows == 0
    with pytest.raises(DataLoss):
        decode(b"nothing of the kind")


def test_reports_go_to_the_rows_at_their_positions() -> None:
    rows = replace(fresh(ids(4)), place=pa.array([2, -1, 0, 1]))
    good, bad = {"state": CODE[DatumState.SUCCESS]}, {"state": CODE[DatumState.FAILED], "reason": "exit 1"}
    told = [report(1, bad, good), report(0, good), report(0, bad, gen=7)]
    after = with_reports(rows, told, 9, 1, ("img", "code"))
    assert after["state"].to_pylist() == [CODE[DatumState.SUCCESS], 0, *[CODE[DatumState.SUCCESS]], 4]
    assert after["reason"].to_pylist() == ["", "", "", "exit 1"]
    assert after["source"].to_pylist() == [9, -1, 9, 9]
    assert after["code"].to_pylist() == ["code", "", "code", "code"]
    assert after["id"].equals(rows["id"])


def test_a_report_that_names_its_image_is_recorded_with_that_one() -> None:
    rows = replace(fresh(ids(2)), place=pa.array([0, 1]))
    named = results([{"row": 0}]).append_column(IMAGE, pa.array(["other"]))
    told = [ReportRow(9, 1, 0, 1, (), to_ipc(named)), report(1, {})]
    assert with_reports(rows, told, 9, 1, ("img", "code"))["image"].to_pylist() == ["other", "img"]


def test_a_datum_that_was_set_aside_is_a_report_of_one_row() -> None:
    table = from_ipc(failed_result(5, "it kills"))
    assert table.schema.equals(RESULTS)
    assert [(row["row"], row["state"], row["reason"]) for row in table.to_pylist()] == [(5, 4, "it kills")]


@given(st.lists(st.sampled_from(list(RowClass)), max_size=12), st.data())
def test_positions_have_no_gaps_and_never_change(classes: list[RowClass], data: st.DataObject) -> None:
    first = np.array(classes, np.int64)
    places = place_next(first, 0, np.full(len(first), -1))
    later = first.copy()
    for row in np.flatnonzero(first == RowClass.UNDECIDED):
        later[row] = data.draw(st.sampled_from([RowClass.RUN, RowClass.SKIP, RowClass.UNDECIDED]))
    after = place_next(later, int(places.max(initial=-1)) + 1, places)
    placed = np.sort(after[after >= 0])
    assert placed.tolist() == list(range(len(placed)))
    assert (after[places >= 0] == places[places >= 0]).all()
    assert ((after >= 0) == (later == RowClass.RUN)).all()
    table = replace(fresh(ids(len(first))), place=pa.array(after))
    assert after[rows_at(table, pa.array(placed))].tolist() == placed.tolist()


def test_scatter_puts_values_where_they_belong() -> None:
    rows = fresh(ids(3))
    values = pa.table({"why": ["two", "zero"]})
    assert scatter(rows, np.array([2, 0]), values)["why"].to_pylist() == ["zero", "", "two"]
    assert scatter(rows, np.array([], np.int64), values.slice(0, 0)) is rows
