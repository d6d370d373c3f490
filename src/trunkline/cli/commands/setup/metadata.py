"""Texts attached to the cluster, to projects, repos, branches, commits and pipelines."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

import click

from trunkline.cli import places
from trunkline.cli.late import metadata, pfs
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.errors import InvalidArgument
from trunkline.model.addresses import parse_ancestry
from trunkline.model.names import Branch, Repo, is_id

_WORDS = 4
KINDS = ("cluster", "project", "repo", "branch", "commit", "pipeline")
OPERATIONS = ("add", "edit", "delete", "replace")


@command()
@click.argument("words", nargs=-1, metavar="(KIND PICKER OPERATION DATA)...")
@project_option
@pass_session
def edit(session: Session, words: tuple[str, ...], project: str | None) -> None:
    """Attach texts to things, all edits together or none.

    KIND is cluster, project, repo, branch, commit or pipeline. PICKER says which: `.` for the cluster, else a name or
    an address such as images@master^2. OPERATION and DATA are `add KEY=VALUE` (the key must be new), `edit KEY=VALUE`,
    `delete KEY`, or `replace` with all pairs, as a JSON object or as KEY=VALUE;KEY=VALUE.
    """
    if not words or len(words) % _WORDS:
        raise click.UsageError(
            f"expected groups of {_WORDS} words (KIND PICKER OPERATION DATA), got {len(words)} words"
        )
    request = metadata.EditMetadataRequest()
    for start in range(0, len(words), _WORDS):
        kind, picker, operation, data = words[start : start + _WORDS]
        one = request.edits.add()
        _pick(one, kind, picker, session.project(project))
        _say(one, operation, data)
    session.client_outside.metadata.EditMetadata(request)
    session.note("ok")


def _pick(one: metadata.Edit, kind: str, picker: str, project: str) -> None:
    match kind.lower():
        case "cluster":
            if picker != ".":
                raise InvalidArgument(f'there is one cluster, and its picker is ".", not "{picker}"')
            one.cluster.SetInParent()
        case "project":
            one.project.name = picker
        case "repo":
            one.repo.CopyFrom(_repo(places.repo(picker, project)))
        case "branch":
            one.branch.CopyFrom(_branch(places.branch(picker, project)))
        case "commit":
            place = places.commit(picker, project)
            one.commit.CopyFrom(_commit(place.repo, place.target))
        case "pipeline":
            found = places.pipeline(picker, project)
            one.pipeline.name.name = found.name
            one.pipeline.name.project.name = found.project
        case _:
            raise InvalidArgument(f'"{kind}" has no metadata; give one of {", ".join(KINDS)}')


def _repo(repo: Repo) -> pfs.RepoPicker:
    named = pfs.RepoPicker.RepoName(project=pfs.ProjectPicker(name=repo.project), name=repo.name, type=repo.type)
    return pfs.RepoPicker(name=named)


def _branch(branch: Branch) -> pfs.BranchPicker:
    return pfs.BranchPicker(name=pfs.BranchPicker.BranchName(repo=_repo(branch.repo), name=branch.name))


def _commit(repo: Repo, ref: str) -> pfs.CommitPicker:
    way = parse_ancestry(ref)
    if is_id(way.base):
        if way.nth is not None:
            raise InvalidArgument(
                f'"{ref}" counts from the first commit of an id; count from a branch, as master.{way.nth}'
            )
        start = pfs.CommitPicker(id=pfs.CommitPicker.CommitByGlobalId(repo=_repo(repo), id=way.base))
    elif way.nth is not None:
        root = pfs.CommitPicker.BranchRoot(offset=way.nth, branch=_branch(Branch(repo, way.base)))
        return pfs.CommitPicker(branch_root=root)
    else:
        start = pfs.CommitPicker(branch_head=_branch(Branch(repo, way.base)))
    if not way.back:
        return start
    return pfs.CommitPicker(ancestor=pfs.CommitPicker.AncestorOf(offset=way.back, start=start))


def _say(one: metadata.Edit, operation: str, data: str) -> None:
    match operation.lower():
        case "add":
            one.add_key.key, one.add_key.value = _pair(data)
        case "edit" | "set":
            one.edit_key.key, one.edit_key.value = _pair(data)
        case "delete":
            one.delete_key.key = _bare(data)
        case "replace":
            one.replace.SetInParent()
            one.replace.replacement.update(_all(data))
        case _:
            raise InvalidArgument(f'metadata cannot be changed by "{operation}"; give one of {", ".join(OPERATIONS)}')


def _pair(data: str) -> tuple[str, str]:
    key, equals, value = data.partition("=")
    if not equals:
        raise InvalidArgument(f'"{data}" is no pair of metadata; write KEY=VALUE')
    return _bare(key), _bare(value)


def _bare(text: str) -> str:
    """The text without the quotes around it, if there are any."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def _all(data: str) -> Mapping[str, str]:
    if data.lstrip().startswith("{"):
        try:
            pairs = json.loads(data)
        except ValueError as error:
            raise InvalidArgument(f"the metadata is no JSON object: {error}") from None
        wrong = [key for key, value in pairs.items() if not isinstance(value, str)]
        if wrong:
            raise InvalidArgument(f'the value of "{wrong[0]}" is no text; put it in quotes')
        return dict(pairs)
    parts = shlex.shlex(data, posix=True, punctuation_chars=False)
    parts.whitespace, parts.whitespace_split, parts.commenters = ";", True, ""
    try:
        return dict(_pair(part) for part in parts)
    except ValueError:
        raise InvalidArgument(f"a quote in {data} is not closed") from None
