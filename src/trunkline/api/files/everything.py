"""All repos at once: deleted, counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty

from trunkline.api.rpc.call import Call
from trunkline.catalog.engine import Tx
from trunkline.model.names import DEFAULT_PROJECT, USER_REPO
from trunkline.pfs.files import Files
from trunkline.pfs.graph import repos as pfs_repos
from trunkline.pfs.graph.changes import Change
from trunkline.wire import nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class AllFilesDoor:
    """All repos."""

    files: Files
    service: str = field(default="pfs_v2.API")

    def DeleteAll(self, _request: Empty, _call: Call) -> Empty:
        """Remove every repo that belongs to no pipeline, and every project that is empty then."""

        def work(change: Change) -> None:
            pfs_repos.delete_repos(change, [], force=True)
            full = {info.repo.project for info in pfs_repos.list_repos(change.tx, [], "")}
            for info in pfs_repos.list_projects(change.tx):
                if info.name != DEFAULT_PROJECT and info.name not in full:
                    pfs_repos.delete_project(change.tx, info.name)

        self.files.change(work)
        return Empty()

    def ReposSummary(self, request: pfs.ReposSummaryRequest, _call: Call) -> pfs.ReposSummaryResponse:
        """How many user repos the projects have, and how large they are."""
        named = [picker.name for picker in request.projects]
        return self.files.catalog.read(lambda tx: self._summary(tx, named))

    def _summary(self, tx: Tx, projects: list[str]) -> pfs.ReposSummaryResponse:
        answer = pfs.ReposSummaryResponse()
        for project in projects or [info.name for info in pfs_repos.list_projects(tx)]:
            found = pfs_repos.list_repos(tx, [project], USER_REPO)
            answer.summaries.append(
                pfs.ReposSummary(
                    project=nouns.project(project),
                    user_repo_count=len(found),
                    size_bytes=sum(info.size_upper_bytes for info in found),
                )
            )
        return answer
