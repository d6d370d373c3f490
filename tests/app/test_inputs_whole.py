"""Every kind of input as a user has it: a real pachd, real workers, specs in the shape of the well-known examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)

STORES = {"STOREID1.txt": "north", "STOREID2.txt": "south", "STOREID3.txt": "west"}
PURCHASES = {"ORDER1_STOREID1.txt": "10", "ORDER2_STOREID1.txt": "20", "ORDER3_STOREID2.txt": "30"}
RETURNS = {"BACK1_STOREID2.txt": "3", "BACK2_STOREID9.txt": "4"}
BESIDE = (
    'for i in stores purchases returns; do for f in /pfs/$i/*; do if test -e "$f"; then cat "$f"; echo; fi; done; done'
)


def pfs(repo: str, glob: str, **more: Any) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": glob, **more}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("pachd")
    with PachdProcess(folder, ("--workers", "2")) as server:
        site = Site(server)
        for repo, files in {"stores": STORES, "purchases": PURCHASES, "returns": RETURNS}.items():
            site.pachctl("create", "repo", repo)
            site.put(repo, **files)
        yield site


def words(tree: dict[str, str]) -> dict[str, list[str]]:
    return {path: text.split() for path, text in tree.items()}


def test_joins_inner_and_outer(site: Site) -> None:
    by_store = {"join_on": "$1"}
    inner = [pfs("stores", "/STOREID(*).txt", **by_store), pfs("purchases", "/*_STOREID(*).txt", **by_store)]
    store = '{ %s; } > "/pfs/out/$(basename $stores)-$(basename $purchases)"'
    site.create("inner", {"cmd": ["bash"], "stdin": [store % BESIDE]}, input={"join": inner})
    reduce = "for f in $(find -L /pfs/inner -type f); do tail -n 1 $f; done | sort -n | tr '\\n' ' ' > /pfs/out/all"
    site.create("reduce-inner", {"cmd": ["bash"], "stdin": [reduce]}, input=pfs("inner", "/"))
    assert site.counts("inner") == ("success", 3, 0)
    assert words(site.tree("inner")) == {
        "/STOREID1.txt-ORDER1_STOREID1.txt": ["north", "10"],
        "/STOREID1.txt-ORDER2_STOREID1.txt": ["north", "20"],
        "/STOREID2.txt-ORDER3_STOREID2.txt": ["south", "30"],
    }
    assert site.counts("reduce-inner") == ("success", 1, 0)
    assert site.tree("reduce-inner")["/all"].split() == ["10", "20", "30"]
    outer = [
        pfs("stores", "/STOREID(*).txt", join_on="$1", outer_join=True),
        pfs("returns", "/*_STOREID(*).txt", join_on="$1", outer_join=True),
    ]
    key = "echo ${PACH_DATUM_stores_JOIN_ON}${PACH_DATUM_returns_JOIN_ON}"
    code = f'{{ {BESIDE}; {key}; }} > "/pfs/out/$PACH_DATUM_ID"'
    site.create("outer", {"cmd": ["bash"], "stdin": [code]}, input={"join": outer})
    assert site.counts("outer") == ("success", 4, 0)
    found = sorted(words(site.tree("outer")).values())
    assert found == [["4", "9"], ["north", "1"], ["south", "3", "22"], ["west", "3"]]


def test_lazy_inputs_are_read_when_they_are_opened(site: Site) -> None:
    by_store = {"join_on": "$1", "lazy": True}
    members = [pfs("stores", "/STOREID(*).txt", **by_store), pfs("purchases", "/*_STOREID(*).txt", **by_store)]
    code = 'cat "$stores" > "/pfs/out/$(basename "$purchases")"; ln -s "$purchases" /pfs/out/link-$PACH_DATUM_ID'
    site.create("lazy", {"cmd": ["bash"], "stdin": [code]}, input={"join": members})
    assert site.counts("lazy") == ("success", 3, 0)
    found = site.tree("lazy")
    assert {path: text for path, text in found.items() if "link" not in path} == {
        "/ORDER1_STOREID1.txt": "north",
        "/ORDER2_STOREID1.txt": "north",
        "/ORDER3_STOREID2.txt": "south",
    }
    assert sorted(text for path, text in found.items() if "link" in path) == ["10", "20", "30"]
    job = site.job("lazy")
    assert int(job["stats"]["download_bytes"]) == len("north" * 2 + "south")


def test_a_datum_with_lazy_inputs_is_replayed(site: Site) -> None:
    lazy = {"pfs": {"repo": "stores", "name": "stores", "glob": "/*", "lazy": True}}
    site.create("replayed", {"cmd": ["bash"], "stdin": ['cat "$stores" > /pfs/out/$PACH_DATUM_ID']}, input=lazy)
    assert site.job("replayed")["state"] == "JOB_SUCCESS"
    at = f"replayed@{site.job('replayed')['job']['id']}"
    datum = next(documents(site.pachctl("list", "datum", at, "--raw")))["datum"]["id"]
    assert "the output is the recorded one" in site.pachctl("replay", at, datum)


def test_a_group_by_store_and_in_it_a_join(site: Site) -> None:
    members = [
        pfs("stores", "/STOREID(*).txt", group_by="$1"),
        pfs("purchases", "/*_STOREID(*).txt", group_by="$1"),
        pfs("returns", "/*_STOREID(*).txt", group_by="$1"),
    ]
    code = f'{{ {BESIDE}; }} > "/pfs/out/$PACH_DATUM_ID"'
    site.create("revenue", {"cmd": ["bash"], "stdin": [code]}, input={"group": members})
    assert site.counts("revenue") == ("success", 4, 0)
    assert sorted(words(site.tree("revenue")).values()) == [
        ["4"],
        ["north", "10", "20"],
        ["south", "30", "3"],
        ["west"],
    ]
    joined = [
        pfs("stores", "/STOREID(*).txt", join_on="$1", group_by="$1"),
        pfs("purchases", "/*_STOREID(*).txt", join_on="$1", group_by="$1"),
    ]
    nested = {"group": [{"join": joined}, members[2]]}
    site.create("nested", {"cmd": ["bash"], "stdin": [code]}, input=nested)
    assert site.counts("nested") == ("success", 3, 0)
    assert sorted(words(site.tree("nested")).values()) == [["4"], ["north", "10", "20"], ["south", "30", "3"]]


def test_a_cross_of_a_join_a_union_and_another_project(site: Site) -> None:
    site.pachctl("create", "project", "elsewhere")
    site.pachctl("create", "repo", "models", "--project", "elsewhere")
    site.pachctl("put", "file", "models@master:/m", "--project", "elsewhere", "-f", "-", stdin=b"model")
    joined = [pfs("stores", "/STOREID(*).txt", join_on="$1"), pfs("returns", "/*_STOREID(*).txt", join_on="$1")]
    sides = {"union": [pfs("purchases", "/ORDER1*"), pfs("purchases", "/ORDER3*")]}
    tree = {"cross": [{"join": joined}, sides, pfs("models", "/", project="elsewhere")]}
    code = f'{{ {BESIDE}; cat /pfs/models/m; }} > "/pfs/out/$(basename $purchases)"'
    site.create("crossed", {"cmd": ["bash"], "stdin": [code]}, input=tree)
    assert site.counts("crossed") == ("success", 2, 0)
    assert words(site.tree("crossed")) == {
        "/ORDER1_STOREID1.txt": ["south", "10", "3", "model"],
        "/ORDER3_STOREID2.txt": ["south", "30", "3", "model"],
    }


def test_words_are_counted_by_a_map_and_a_reduce(site: Site) -> None:
    site.pachctl("create", "repo", "texts")
    site.put("texts", one="a b a\n", two="b c\n")
    count = 'for w in $(cat $texts); do mkdir -p /pfs/out/$w; echo 1 >> "/pfs/out/$w/$(basename $texts)"; done'
    site.create("map", {"cmd": ["bash"], "stdin": [count]}, input=pfs("texts", "/*"))
    total = 'w=$(basename $map); cat $(find -L /pfs/map -type f) | wc -l > "/pfs/out/$w"'
    site.create("reduce", {"cmd": ["bash"], "stdin": [total]}, input=pfs("map", "/*"))
    assert site.counts("reduce") == ("success", 3, 0)
    assert words(site.tree("reduce")) == {"/a": ["2"], "/b": ["2"], "/c": ["1"]}
    site.put("texts", three="c\n")
    assert site.counts("map") == ("success", 1, 2)
    assert site.counts("reduce") == ("success", 1, 2)
    assert words(site.tree("reduce"))["/c"] == ["2"]


def test_a_shuffle_moves_files_without_reading_them(site: Site) -> None:
    for repo in ("fruits", "pricing"):
        site.pachctl("create", "repo", repo)
    site.put("fruits", **{"apple.jpeg": "an apple", "pear.jpeg": "a pear"})
    site.put("pricing", **{"apple.json": "1.20"})
    code = (
        "for f in /pfs/fruits/* /pfs/pricing/*; do test -e $f || continue; "
        "test -s $f && echo content > /pfs/out/read; "
        "n=$(basename $f); mkdir -p /pfs/out/${n%.*}; ln -s $f /pfs/out/${n%.*}/$n; done"
    )
    both = [pfs("fruits", "/*.jpeg", empty_files=True), pfs("pricing", "/*.json", empty_files=True)]
    site.create("shuffle", {"cmd": ["bash"], "stdin": [code]}, input={"union": both})
    assert site.counts("shuffle") == ("success", 3, 0)
    assert site.tree("shuffle") == {
        "/apple/apple.jpeg": "an apple",
        "/apple/apple.json": "1.20",
        "/pear/pear.jpeg": "a pear",
    }


def test_members_of_a_union_may_share_a_name(site: Site) -> None:
    for repo in ("day", "night"):
        site.pachctl("create", "repo", repo)
        site.put(repo, **{f"{repo}-1": f"a {repo}"})
    both = [pfs("day", "/*", name="hours"), pfs("night", "/*", name="hours")]
    code = 'cp "$hours" /pfs/out/'
    site.create("hours", {"cmd": ["sh"], "stdin": [code]}, input={"union": both})
    assert site.counts("hours") == ("success", 2, 0)
    assert site.tree("hours") == {"/day-1": "a day", "/night-1": "a night"}
    together = {"group": [pfs("day", "/*", name="hours", group_by="x"), pfs("night", "/*", group_by="x")]}
    site.create("all-hours", {"cmd": ["sh"], "stdin": ["cp /pfs/hours/* /pfs/night/* /pfs/out/"]}, input=together)
    assert site.counts("all-hours") == ("success", 1, 0)
    assert site.tree("all-hours") == {"/day-1": "a day", "/night-1": "a night"}


def test_hyperparameters_are_tried_in_every_pair(site: Site) -> None:
    for repo in ("raw", "parameters"):
        site.pachctl("create", "repo", repo)
    site.put("raw", **{"iris.csv": "1\n2\n3\n4\n"})
    for name in ("c/1", "c/10", "gamma/2", "gamma/3"):
        site.pachctl("put", "file", f"parameters@master:/{name}", "-f", "-", stdin=name.partition("/")[2].encode())
    split = "head -n 3 /pfs/raw/iris.csv > /pfs/out/train.csv; tail -n 1 /pfs/raw/iris.csv > /pfs/out/test.csv"
    site.create("split", {"cmd": ["sh"], "stdin": [split]}, input=pfs("raw", "/"))
    train = 'a=$(cat $c) b=$(cat $gamma); echo $((a * b)) > "/pfs/out/model_${a}_${b}"'
    members = [
        pfs("split", "/train.csv"),
        pfs("parameters", "/c/*", name="c"),
        pfs("parameters", "/gamma/*", name="gamma"),
    ]
    site.create("model", {"cmd": ["sh"], "stdin": [train]}, input={"cross": members})
    test = 'echo $(($(cat $model) + $(cat $split))) > "/pfs/out/$(basename $model)"'
    pair = {"cross": [pfs("split", "/test.csv"), pfs("model", "/*")]}
    site.create("test", {"cmd": ["sh"], "stdin": [test]}, input=pair)
    select = "cd /pfs/test; best=$(grep -H . * | sort -t: -k2 -n | tail -n 1); cp /pfs/model/${best%:*} /pfs/out/"
    site.create("select", {"cmd": ["sh"], "stdin": [select]}, input={"cross": [pfs("test", "/"), pfs("model", "/")]})
    assert site.counts("select") == ("success", 1, 0)
    assert site.counts("model") == ("success", 4, 0)
    assert site.tree("select") == {"/model_10_3": "30\n"}


def test_err_cmd_makes_some_good(site: Site) -> None:
    site.pachctl("create", "repo", "mixed")
    site.put("mixed", file1="ok", file2="odd")
    main = "grep -q ok $mixed && cp $mixed /pfs/out/"
    step = {"cmd": ["sh"], "stdin": [main], "err_cmd": ["sh"], "err_stdin": ["grep -q odd $mixed"]}
    site.create("errors", step, input=pfs("mixed", "/*"), datum_tries=1)
    job = site.job("errors")
    assert (job["state"], job["data_processed"], job["data_recovered"]) == ("JOB_SUCCESS", "1", "1")
    assert site.tree("errors") == {"/file1": "ok"}
    rows = site.pachctl("list", "job", "-p", "errors")
    assert "1 + 0 + 1 / 2" in rows
    site.put("mixed", file3="bad")
    job = site.job("errors")
    assert (job["state"], job["data_failed"], job["data_recovered"]) == ("JOB_FAILURE", "1", "1")
    listed = list(documents(site.pachctl("list", "datum", f"errors@{job['job']['id']}", "--raw")))
    assert sorted(one["state"] for one in listed) == ["FAILED", "RECOVERED", "SKIPPED"]
    failed = next(one["datum"]["id"] for one in listed if one["state"] == "FAILED")
    shown = site.pachctl("inspect", "datum", f"errors@{job['job']['id']}", failed)
    assert "State: failed" in shown
    state = f"errors.meta@{job['job']['id']}:/pfs/{failed}"
    assert f"PFS State: {state}" in shown
    assert site.pachctl("get", "file", f"{state}/mixed/file3") == "bad"
    recorded = json.loads(site.pachctl("get", "file", f"errors.meta@{job['job']['id']}:/meta/{failed}/meta"))
    assert (recorded["state"], recorded["inputs"][0]["file"]["path"]) == ("FAILED", "/file3")


def test_a_pipeline_reads_the_records_of_another(site: Site) -> None:
    site.pachctl("create", "repo", "plain")
    site.put("plain", a="1", b="2")
    site.create("doubled", {"cmd": ["sh"], "stdin": ["cat $plain $plain > /pfs/out/$(basename $plain)"]},
                input=pfs("plain", "/*"))  # fmt: skip
    code = 'grep -h -o \'"state": "[A-Z]*"\' $doubled > /pfs/out/$PACH_DATUM_ID'
    site.create("states", {"cmd": ["sh"], "stdin": [code]}, input=pfs("doubled", "/meta/*/meta", repo_type="meta"))
    assert site.counts("states") == ("success", 2, 0)
    assert set(site.tree("states").values()) == {'"state": "SUCCESS"\n'}
    site.put("plain", c="3")
    assert site.counts("states") == ("success", 1, 2)


def test_datums_are_listed_before_there_is_a_job(site: Site) -> None:
    spec = {"pipeline": {"name": "later"}, "transform": {"cmd": ["true"]}, "input": pfs("stores", "/*")}
    text = json.dumps(spec).encode()
    rows = site.pachctl("list", "datum", "-f", "-", stdin=text).splitlines()
    assert len(rows) == 4
    assert [row.split()[2] for row in rows[1:]] == ["unknown"] * 3
    before = [one["datum"]["id"] for one in documents(site.pachctl("list", "datum", "-f", "-", "--raw", stdin=text))]
    site.pachctl("create", "pipeline", "-f", "-", stdin=text)
    job = site.job("later")["job"]["id"]
    after = [one["datum"]["id"] for one in documents(site.pachctl("list", "datum", f"later@{job}", "--raw"))]
    assert sorted(before) == after  # before: in the order of running; of a job: by id
    assert "first seen" in site.pachctl("why", f"later@{job}").splitlines()[1]
    assert "0 of 3 datums would run" in site.pachctl("why", "-f", "-", stdin=text)
    assert "3 of 3 datums would run, for a few seconds" in site.pachctl("why", "--reprocess", "-f", "-", stdin=text)
    bad = {"pipeline": {"name": "later"}, "transform": {"cmd": ["true"]}, "input": pfs("no-such-repo", "/*")}
    assert "no-such-repo" in site.refused("list", "datum", "-f", "-", stdin=json.dumps(bad).encode())


def test_a_spec_with_a_cron_input_is_previewed_before_its_clock_is_there(site: Site) -> None:
    ticks = {"cron": {"name": "tick", "spec": "@never"}}
    nothing = {"pipeline": {"name": "ticking"}, "transform": {"cmd": ["true"]}}
    crossed = json.dumps({**nothing, "input": {"cross": [ticks, pfs("stores", "/*")]}}).encode()
    assert len(site.pachctl("list", "datum", "-f", "-", stdin=crossed).splitlines()) == 1
    assert "0 of 0 datums would run" in site.pachctl("why", "-f", "-", stdin=crossed)
    beside = json.dumps({**nothing, "input": {"union": [ticks, pfs("stores", "/*")]}}).encode()
    assert "3 of 3 datums would run" in site.pachctl("why", "-f", "-", stdin=beside)


def test_what_a_file_of_several_specs_would_run_is_told_of_each(site: Site) -> None:
    code = {"transform": {"cmd": ["true"]}}
    first = {"pipeline": {"name": "upper"}, **code, "input": pfs("stores", "/*")}
    maker = {"pipeline": {"name": "maker"}, **code, "spout": {}}
    below = {"pipeline": {"name": "lower"}, **code, "input": {"cross": [pfs("upper", "/"), pfs("maker", "/")]}}
    last = {"pipeline": {"name": "beside"}, **code, "input": pfs("purchases", "/")}
    told = site.pachctl("why", "-f", "-", stdin=json.dumps([first, maker, below, last]).encode())
    assert "upper: 3 of 3 datums would run" in told
    assert "maker: it has no input, and so no datums" in told
    assert "lower: it reads what upper, maker will have made, so that nothing is known yet" in told
    assert "beside: 1 of 1 datums would run" in told
    absent = {"pipeline": {"name": "lost"}, **code, "input": pfs("no-such-repo", "/")}
    assert "no-such-repo" in site.refused("why", "-f", "-", stdin=json.dumps([first, absent]).encode())
