"""trunkline.v1.Versions: tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.api.rpc.call import Call
from trunkline.catalog.versions.tags import TagRow
from trunkline.errors import InvalidArgument
from trunkline.model.names import Tag
from trunkline.pfs.files import Files
from trunkline.pfs.graph import tags as pfs_tags
from trunkline.wire import nouns
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.times import timestamp


@dataclass(frozen=True, slots=True)
class TagDoor:
    """Names for commits."""

    files: Files
    service: str = field(default="trunkline.v1.Versions")

    def CreateTag(self, request: own.CreateTagRequest, _call: Call) -> own.TagInfo:
        """Name a commit, or move a name."""
        tag = _tag_of(request.tag)
        ref = request.commit.id or request.commit.branch.name
        named = nouns.find_commit(request.commit)
        if named is not None and named.repo != tag.repo:
            raise InvalidArgument(f"tag {tag} cannot stand for a commit of {named.repo}: both must be of one repo")
        row = self.files.catalog.transact(
            lambda tx: pfs_tags.create_tag(tx, tag, ref, description=request.description, force=request.force)
        )
        return _info(row)

    def ListTag(self, request: own.ListTagRequest, _call: Call) -> Iterator[own.TagInfo]:
        """Tags by repo and name."""
        named = nouns.find_commit(request.commit)
        rows = pfs_tags.list_tags(
            self.files.catalog,
            repo=named.repo if named is not None else nouns.find_repo(request.repo),
            ref=named.ref if named is not None else "",
            number=request.number,
            marker=_tag_of(request.marker) if request.HasField("marker") else None,
            reverse=request.reverse,
        )
        return map(_info, rows)

    def DeleteTag(self, request: own.DeleteTagRequest, _call: Call) -> own.DeleteTagResponse:
        """Remove a name; the commit stays."""
        tag = _tag_of(request.tag)
        self.files.catalog.transact(lambda tx: pfs_tags.delete_tag(tx, tag))
        return own.DeleteTagResponse()


def _tag_of(tag: own.Tag) -> Tag:
    return Tag(nouns.repo_of(tag.repo, "the tag"), tag.name)


def _info(row: TagRow) -> own.TagInfo:
    return own.TagInfo(
        tag=own.Tag(repo=nouns.repo(row.tag.repo), name=row.tag.name),
        commit=nouns.commit(row.commit),
        description=row.description,
        created=timestamp(row.created_us),
    )
