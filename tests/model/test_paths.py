"""What may name a file (K 21), the stored form, and the directories above."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model import paths


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("a", "/a"),
        ("/a/b", "/a/b"),
        ("a/b/", "/a/b"),
        ("//a///b//", "/a/b"),
        ("/a b.txt", "/a b.txt"),
        ("/ünï/日本", "/ünï/日本"),
        ("/*[x]{y}?(z)!@+^", "/*[x]{y}?(z)!@+^"),
        ("/...", "/..."),
        ("/.hidden/..x/y..", "/.hidden/..x/y.."),
        ("/" + "a" * 255, "/" + "a" * 255),
    ],
)
def test_a_path_is_cleaned(text: str, stored: str) -> None:
    assert paths.clean(text) == stored
    assert paths.clean(stored) == stored


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("/a/../b", 'path "/a/../b" is invalid: an element ".." is not allowed'),
        ("..", 'path "/.." is invalid: an element ".." is not allowed'),
        ("./a", 'path "/./a" is invalid: an element "." is not allowed'),
        ("/a/.", 'path "/a/." is invalid: an element "." is not allowed'),
        (
            "/a\nb",
            r'path "/a\nb" is invalid: control characters are not allowed (U+000A at character 3)',
        ),
        (
            "/\x85",
            r'path "/\x85" is invalid: control characters are not allowed (U+0085 at character 2)',
        ),
        ("/\udc80", r'path "/\udc80" is invalid: character 2 is not valid UTF-8'),
        (
            "/" + "é" * 128,
            f'path "/{"é" * 119}…" is invalid: the element "{"é" * 120}…" has 256 bytes; at most 255 are allowed',
        ),
        (
            "/abcd" * 820,
            f'path "{"/abcd" * 24}…" is invalid: it has 4100 bytes; at most 4096 are allowed',
        ),
    ],
)
def test_a_bad_path_is_refused_in_words(text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        paths.clean(text)
    assert str(caught.value) == complaint


def test_the_longest_path_is_allowed() -> None:
    longest = ("/" + "a" * 255) * 16
    assert len(longest) == 4096
    assert paths.clean(longest) == longest


@pytest.mark.parametrize(
    ("path", "above", "last"),
    [
        ("/", [], ""),
        ("/a", ["/"], "a"),
        ("/a/", ["/"], "a"),
        ("/a/b.txt", ["/", "/a/"], "b.txt"),
        ("/a/b/c/", ["/", "/a/", "/a/b/"], "c"),
    ],
)
def test_directories_above(path: str, above: list[str], last: str) -> None:
    assert paths.parents(path) == above
    assert paths.name(path) == last
    assert paths.parent(path) == (above[-1] if above else "/")


def test_join_and_directory() -> None:
    assert paths.join("/a/", "b", "/c") == "/a/b/c"
    assert paths.join("", "x") == "/x"
    assert paths.directory("/a") == paths.directory("/a/") == "/a/"
    assert paths.directory("/") == "/"
    with pytest.raises(InvalidArgument):
        paths.join("/a", "..")


@pytest.mark.parametrize("text", ["a", "/a b/~c", "x" * 255 + "/" + "y" * 255, "a.b/..c/.d/e..", "a/" * 2047 + "b"])
def test_plain_paths_are_stored_as_they_are(text: str) -> None:
    assert paths.clean(text) == paths.validate("/" + text.lstrip("/"))


@pytest.mark.parametrize(
    "text", ["a/..", "./a", "a/./b", "x" * 256, "a/" + "y" * 256, "a\x7f", "a/" * 2048 + "b", "a\n"]
)
def test_what_looks_plain_and_is_not_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        paths.clean(text)
