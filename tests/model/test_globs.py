"""The glob language: tables, and both matchers beside a slow one that is plainly right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.globs import Glob, Template, escape
from trunkline.model.globs.columns import exclusions

TREE = [
    "/",
    "/A1",
    "/A1/x.png",
    "/a.txt",
    "/a/b",
    "/a/b/c.txt",
    "/d/",
    "/d/test1.txt",
    "/img.jpeg",
    "/img.jpg",
    "/日本",
]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("/", ["/"]),
        ("", ["/"]),
        ("/*", ["/A1", "/a.txt", "/d/", "/img.jpeg", "/img.jpg", "/日本"]),
        ("*/", ["/A1", "/a.txt", "/d/", "/img.jpeg", "/img.jpg", "/日本"]),
        ("/*/*", ["/A1/x.png", "/a/b", "/d/test1.txt"]),
        ("/**", TREE[1:]),
        ("**", TREE[1:]),
        ("/**test*.txt", ["/d/test1.txt"]),
        ("/a/b", ["/a/b"]),
        ("a//b/", ["/a/b"]),
        ("/a/**", ["/a/b", "/a/b/c.txt"]),
        ("/??", ["/A1", "/日本"]),
        ("/!(*.*)", ["/A1", "/d/", "/日本"]),
        ("/**/!(*.txt)", ["/A1/x.png", "/a/b"]),
        ("/img.{jpg,png}", ["/img.jpg"]),
        ("/img.{jp{g,eg},png}", ["/img.jpeg", "/img.jpg"]),
        ("/*.jp?(e)g", ["/img.jpeg", "/img.jpg"]),
        ("/[a-c]*", ["/a.txt"]),
        ("/[!a-z]*", ["/A1", "/日本"]),
        ("/[^a-z]*", ["/A1", "/日本"]),
        ("/[[:upper:]][[:digit:]]", ["/A1"]),
        ("/[[:upper:][:digit:]]+([0-9])", ["/A1"]),
        ("/a[/]b", []),
        ("/a[!x]b", []),
        ("/@(a|d)/*", ["/a/b", "/d/test1.txt"]),
        ("/*(a|/|b)", ["/a/b"]),
        (r"/a\.txt", ["/a.txt"]),
        (r"/\a.txt", ["/a.txt"]),
    ],
)
def test_a_glob_selects_paths(pattern: str, matches: list[str]) -> None:
    glob = Glob(pattern)
    assert [path for path in TREE if glob.match(path) is not None] == matches
    assert pa.array(TREE).filter(glob.mask(pa.array(TREE))).to_pylist() == matches


@pytest.mark.parametrize(
    ("pattern", "path", "captures"),
    [
        ("/(*)_(*).txt", "/x_y.txt", ("x", "y")),
        ("/(*)_(*).txt", "/x_y_z.txt", ("x_y", "z")),
        ("/STOREID(*).txt", "/STOREID4.txt", ("4",)),
        ("/*-PATID(*)-*.txt", "/T1-PATID7-CLIA3.txt", ("7",)),
        ("/@(a(b|c)|d)", "/ac", ("ac", "c")),
        ("/@(a(b|c)|d)", "/d", ("d", "")),
        ("/+(a|b)*(c)?(d)", "/abb", ("abb", "", "")),
        ("/(**)/(*)", "/a/b/c", ("a/b", "c")),
        ("/!(*.txt)", "/a.png", ("a.png",)),
        ("/a!(b!(c))", "/axy", ("xy", "")),
        ("/x(y)", "/x", None),
        ("/", "/", ()),
        ("/*", "/a/", ()),
    ],
)
def test_captures(pattern: str, path: str, captures: tuple[str, ...] | None) -> None:
    glob = Glob(pattern)
    assert glob.match(path) == captures
    if captures is not None:
        assert glob.captures == len(captures)
        assert [column.to_pylist() for column in glob.capture_columns(pa.array([path]))] == [[c] for c in captures]


@pytest.mark.parametrize(
    ("pattern", "literal", "stem", "prefix"),
    [
        ("/", "/", "/", "/"),
        ("/a/b", "/a/b", "/a/b", "/a/"),
        ("/a/b/", "/a/b", "/a/b", "/a/"),
        ("/a/b/*.txt", None, "/a/b/", "/a/b/"),
        ("/a/img_*", None, "/a/img_", "/a/"),
        ("*", None, "/", "/"),
        ("{a,b}", None, "/", "/"),
        (r"/a\*b", "/a*b", "/a*b", "/"),
    ],
)
def test_what_every_match_starts_with(pattern: str, literal: str | None, stem: str, prefix: str) -> None:
    glob = Glob(pattern)
    assert (glob.literal, glob.stem, glob.prefix) == (literal, stem, prefix)


@pytest.mark.parametrize(
    ("pattern", "depth"),
    [
        ("/*", 1),
        ("/a/b", 2),
        ("/*/b?.txt", 2),
        ("/{a,b/c,d}/*", 3),
        ("/{a,**}", None),
        ("/(a|b/c)", 2),
        ("/@(a)?(b/c)", 2),
        ("/*(a)+(b)!(c/d)", 1),
        ("/+(a/b)", None),
        ("/a**", None),
    ],
)
def test_how_deep_a_match_can_lie(pattern: str, depth: int | None) -> None:
    assert Glob(pattern).depth == depth


def test_only_negation_is_beyond_re2() -> None:
    assert Glob("/a/*.[a-c]{x,y}@(z)").re2 == r"(?s)\A/a/[^/]*\.[\x{61}-\x{63}](?:x|y)(?P<c1>(?:z))\z"
    assert Glob("/!(a)").re2 is None
    assert Glob("/*(x!(a))").re2 is None
    assert Glob("/").re2 is None


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("/a[b", 'glob "/a[b" is invalid at character 3: "[" is never closed'),
        ("/[]", 'glob "/[]" is invalid at character 2: "[" is never closed'),
        ("/a\\", 'glob "/a\\" is invalid at character 3: nothing follows the last "\\"'),
        ("/[a\\", 'glob "/[a\\" is invalid at character 2: "[" is never closed'),
        ("/{a,(b}", 'glob "/{a,(b}" is invalid at character 5: "(" is never closed'),
        ("/!(a|b", 'glob "/!(a|b" is invalid at character 2: "!(" is never closed'),
        ("/x[z-a]", 'glob "/x[z-a]" is invalid at character 4: the range "z-a" runs backwards'),
        (
            "/[[:foo:]]",
            'glob "/[[:foo:]]" is invalid at character 3: there is no class "[:foo:]"; there are alnum, alpha, ascii, '
            "blank, cntrl, digit, graph, lower, print, punct, space, upper, word, xdigit",
        ),
        ("(" * 65, f'glob "{"(" * 65}" is invalid at character 65: nested more than 64 deep'),
        ("\udc80", r'glob "\udc80" is invalid at character 1: not valid UTF-8'),
        ("a" * 4097, f'glob "{"a" * 120}…" is invalid: it has 4097 characters; at most 4096 are allowed'),
    ],
)
def test_a_bad_glob_is_refused_in_words(pattern: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Glob(pattern)
    assert str(caught.value) == complaint


@pytest.mark.parametrize("pattern", ["/a)", "/a}", "/a]", "/a|b", "/a,b", "/a@b", "/a+", "/!", "/^a"])
def test_what_opens_nothing_is_literal(pattern: str) -> None:
    assert Glob(pattern).literal == pattern


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$1", "A"),
        ("${1}-${2}", "A-B"),
        ("$0", "/p"),
        ("$1x$2", "AxB"),
        ("$$1", "$1"),
        ("$9${name}${}", ""),
        ("cost: $", "cost: $"),
        ("", ""),
        ("$99999999999999999999", ""),
    ],
)
def test_a_template_is_filled(template: str, text: str) -> None:
    assert Template(template).expand("/p", ("A", "B")) == text
    filled = Template(template).expand_column(pa.array(["/p", "/q"]), [pa.array(["A", "C"]), pa.array(["B", "D"])])
    assert filled[0].as_py() == text
    assert len(filled) == 2


# The same language once more: trees of our own, written out as patterns, and matched by trying every way.

Tree = tuple[object, ...]
CHARS = "ab./"
LETTERS = st.sampled_from(["a", "b", ".", "/"])
LEAVES = (
    st.tuples(st.just("text"), LETTERS)
    | st.tuples(st.just("class"), st.booleans(), st.sampled_from(["a", "b.", "a/"]))
    | st.tuples(st.sampled_from(["*", "**", "?"]))
)


def branches(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    options = st.lists(st.lists(inner, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
    return st.tuples(st.sampled_from(["{", "(", "@(", "*(", "+(", "?(", "!("]), options)


TREES = st.lists(st.recursive(LEAVES, branches, max_leaves=6), max_size=4).map(tuple)


def written(nodes: tuple[Tree, ...]) -> str:
    out = ""
    for kind, *rest in nodes:
        if kind == "text":
            out += "\\" + str(rest[0])
        elif kind == "class":
            out += f"[{'!' if rest[0] else ''}{rest[1]}]"
        elif kind in ("*", "**", "?"):
            out += str(kind)
        else:
            between, end = (",", "}") if kind == "{" else ("|", ")")
            out += str(kind) + between.join(map(written, rest[0])) + end
    return out


def ends(nodes: tuple[Tree, ...], text: str, at: int) -> set[int]:
    """Where a match of `nodes` that starts at `at` may end."""
    reached = {at}
    for node in nodes:
        reached = {end for start in reached for end in node_ends(node, text, start)}
    return reached


def node_ends(node: Tree, text: str, at: int) -> Iterator[int]:
    kind, *rest = node
    slash = text.find("/", at) if "/" in text[at:] else len(text)
    if kind == "text":
        return iter([at + 1] if text[at : at + 1] == rest[0] else [])
    if kind in ("class", "?"):
        here = text[at : at + 1]
        fits = here not in ("", "/") and (kind == "?" or (here in str(rest[1])) != rest[0])
        return iter([at + 1] if fits else [])
    if kind in ("*", "**"):
        return iter(range(at, (slash if kind == "*" else len(text)) + 1))
    options = rest[0]
    once = {end for option in options for end in ends(option, text, at)}  # type: ignore[attr-defined]
    if kind == "!(":
        return iter(set(range(at, slash + 1)) - once)
    if kind in ("*(", "+("):
        reached = set(once)
        while more := {end for start in reached for o in options for end in ends(o, text, start)} - reached:  # type: ignore[attr-defined]
            reached |= more
        return iter(reached | {at} if kind == "*(" else reached)
    return iter(once | {at} if kind == "?(" else once)


@cache
def texts() -> list[str]:
    """Every stored path of up to six characters over a small alphabet."""
    found = [""]
    for text in found:
        if len(text) < 6:
            found += [text + c for c in CHARS if not (c == "/" and text[-1:] in ("/", "")) or not text]
    return sorted({"/" + t.strip("/") for t in found if t.strip("/") and "//" not in t})


@settings(max_examples=300, deadline=None)
@given(TREES, st.lists(st.sampled_from(texts()), min_size=1, max_size=30))
@example((("!(", ((("*",), ("text", "."), ("*",)),)),), ["/a", "/a.b", "/a/b"])
def test_both_matchers_agree_with_trying_every_way(nodes: tuple[Tree, ...], paths: list[str]) -> None:
    nodes = apart((("text", "/"), *nodes))
    while len(nodes) > 1 and nodes[-1] == ("text", "/"):
        nodes = nodes[:-1]  # cleaning drops it
    if any(a == b == ("text", "/") for a, b in pairwise(nodes)) or len(nodes) == 1:
        return
    glob = Glob(written(nodes))
    expected = [len(path) in ends(nodes, path, 0) for path in paths]
    assert [glob.match(path) is not None for path in paths] == expected
    assert glob.mask(pa.array(paths)).to_pylist() == expected
    matching = [path for path, fits in zip(paths, expected, strict=True) if fits]
    assert glob.depth is None or all(path.count("/") <= glob.depth for path in matching)
    columns = glob.capture_columns(pa.array(matching, pa.string()))
    for row, path in enumerate(matching):
        assert glob.match(path) == tuple(column[row].as_py() for column in columns)


def apart(nodes: tuple[Tree, ...]) -> tuple[Tree, ...]:
    """`nodes` with an empty choice between a star or question mark and what its neighbour would change it into."""
    out: list[Tree] = []
    for kind, *rest in nodes:
        inner = [tuple(map(apart, rest[0]))] if rest and isinstance(rest[0], tuple) else rest  # type: ignore[arg-type]
        if out and out[-1][0] in ("*", "**", "?") and kind not in ("text", "class", "{"):
            out.append(("{", ((),)))
        out.append((kind, *inner))
    return tuple(out)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1))
def test_an_escaped_path_matches_itself_alone(text: str) -> None:
    glob = Glob(escape("/" + text))
    assert glob.literal == "/" + text
    assert glob.match("/" + text) == ()
    assert glob.mask(pa.array(["/" + text, "/x" + text])).to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/" + "*a" * 60 + "b", "/" + "a" * 200),
        ("/" + "*(" * 20 + "a" + ")" * 20 + "b", "/" + "a" * 200),
        ("/" + "*(*(a)|*(aa))" * 10 + "b", "/" + "a" * 200),
        ("/" + "**/" * 30 + "b", "/" + "a/" * 100),
        ("/" + "?(a)" * 60 + "a" * 60, "/" + "a" * 60 + "c"),
        ("/" + "!(" * 8 + "*a" + ")" * 8 + "b", "/" + "a" * 200),
        ("/" + "!(x)" * 10 + "b", "/" + "a" * 200),
    ],
)
def test_no_pattern_takes_for_ever(pattern: str, path: str) -> None:
    """Trying every way would take longer than the universe has; the time limit of the run is the test."""
    assert Glob(pattern).match(path) is None
    assert Glob(pattern).mask(pa.array([path] * 100)).to_pylist() == [False] * 100


def test_the_longest_patterns_compile() -> None:
    for piece in ("?", "[!a]", "*a", "[[:alpha:]é-ü]", "{a,b}", "(a)"):
        pattern = "/" + piece * (4095 // len(piece))
        assert Glob(pattern).mask(pa.array(["/x/y"])).to_pylist() == [False]


@pytest.mark.parametrize(
    ("pattern", "certain"),
    [("/!(a)", True), ("/x!(a)?/*", True), ("/**/!(a)", True), ("/!(a)*", False), ("/**/!(a)/**", False),
     ("/!(a!(b))", False), ("/{!(a),b}", False), ("/!(a)!(b)", False)],
)  # fmt: skip
def test_negations_that_columns_can_decide(pattern: str, certain: bool) -> None:
    assert (exclusions(Glob(pattern).nodes) is not None) == certain


def test_globs_are_values_and_columns_may_be_in_chunks() -> None:
    assert Glob("/*/") == Glob("*")
    assert len({Glob("/*/"), Glob("*"), Glob("**")}) == 2
    assert repr(Glob("/a")) == "Glob('/a')"
    chunked = pa.chunked_array([["/a.x", None], ["/b"]])
    for pattern, wanted in (
        ("/!(*.*)", [False, False, True]),
        ("/a*", [True, False, False]),
        ("/b", [False, False, True]),
    ):
        assert Glob(pattern).mask(chunked).to_pylist() == wanted
