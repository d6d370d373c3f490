"""`pachctl edit metadata`: groups of four words become edits."""

from __future__ import annotations

import pytest
from cli_things import ID
from google.protobuf.json_format import MessageToDict

from trunkline.wire.gen import metadata_pb2 as metadata


@pytest.fixture
def edited(pachctl, server, context):
    """The edits that a command line sends, and that it says ok."""
    server.script["metadata.EditMetadata"] = metadata.EditMetadataResponse()

    def typed(*words):
        done = pachctl("edit", "metadata", *words)
        assert (done.status, done.out, done.err) == (0, "", "ok\n")
        request = MessageToDict(server.only("metadata.EditMetadata").request, preserving_proto_field_name=True)
        return request["edits"]

    return typed


def test_several_edits_at_once(edited):
    assert edited(
        "cluster", ".", "add", "a=1", "project", "sea", "edit", 'b="x y"', "pipeline", "edges", "delete", "c"
    ) == [
        {"cluster": {}, "add_key": {"key": "a", "value": "1"}},
        {"project": {"name": "sea"}, "edit_key": {"key": "b", "value": "x y"}},
        {"pipeline": {"name": {"project": {"name": "default"}, "name": "edges"}}, "delete_key": {"key": "c"}},
    ]


REPO = {"name": {"project": {"name": "default"}, "name": "images", "type": "user"}}
MASTER = {"name": {"repo": REPO, "name": "master"}}
PICKED = {
    ("repo", "images"): {"repo": REPO},
    ("repo", "sea/images.meta"): {"repo": {"name": {"project": {"name": "sea"}, "name": "images", "type": "meta"}}},
    ("branch", "images@master"): {"branch": MASTER},
    ("commit", f"images@{ID}"): {"commit": {"id": {"repo": REPO, "id": ID}}},
    ("commit", "images@master"): {"commit": {"branch_head": MASTER}},
    ("commit", "images@master^^"): {"commit": {"ancestor": {"offset": 2, "start": {"branch_head": MASTER}}}},
    ("commit", "images@master.3"): {"commit": {"branch_root": {"offset": 3, "branch": MASTER}}},
    ("commit", f"images@{ID}~1"): {"commit": {"ancestor": {"offset": 1, "start": {"id": {"repo": REPO, "id": ID}}}}},
}


@pytest.mark.parametrize(("kind", "picker"), PICKED)
def test_what_is_picked(edited, kind, picker):
    (edit,) = edited(kind, picker, "delete", "k")
    edit.pop("delete_key")
    assert edit == PICKED[kind, picker]


@pytest.mark.parametrize("data", ['{"a": "1", "b": "x;y"}', 'a=1;b="x;y"', "a='1';b='x;y'"])
def test_all_pairs_are_replaced(edited, data):
    assert edited("cluster", ".", "replace", data)[0]["replace"] == {"replacement": {"a": "1", "b": "x;y"}}


@pytest.mark.parametrize("data", ["", "{}"])
def test_all_pairs_are_taken_away(edited, data):
    assert edited("cluster", ".", "replace", data)[0]["replace"] == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("repo a add", "expected groups of 4 words"),
        ("cluster x add a=1", 'its picker is "."'),
        ("file a@b:/c add a=1", '"file" has no metadata'),
        ("repo a put a=1", 'cannot be changed by "put"'),
        ("repo a add a", '"a" is no pair'),
        ("repo a replace {", "no JSON object"),
        ('repo a replace {"a":1}', 'the value of "a" is no text'),
        ('repo a replace a="1', "not closed"),
        (f"commit a@{ID}.2 delete a", "count from a branch"),
    ],
)
def test_words_that_mean_nothing_are_refused(pachctl, context, words, said):
    done = pachctl("edit", "metadata", *words.split())
    assert done.status != 0
    assert said in done.err
