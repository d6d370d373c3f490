"""pfs_v2.API: projects, repos and branches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from google.protobuf.empty_pb2 import Empty

from trunkline.api.files import changes
from trunkline.api.rpc.call import Call
from trunkline.pfs.files import Files
from trunkline.pfs.graph import branches as pfs_branches
from trunkline.pfs.graph import repos as pfs_repos
from trunkline.wire import infos, nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@dataclass(frozen=True, slots=True)
class RepoDoor:
    """Projects, repos and branches."""

    files: Files
    service: str = "pfs_v2.API"

    def CreateProject(self, request: pfs.CreateProjectRequest, _call: Call) -> Empty:
        """Make a project or change its description."""
        name, description, update = request.project.name, request.description, request.update
        self.files.catalog.transact(lambda tx: pfs_repos.create_project(tx, name, description, update=update))
        return Empty()

    def InspectProject(self, request: pfs.InspectProjectRequest, _call: Call) -> pfs.ProjectInfo:
        """One project."""
        name = nouns.project_of(request.project)
        return infos.project_info(self.files.catalog.read(lambda tx: pfs_repos.inspect_project(tx, name)))

    def InspectProjectV2(self, request: pfs.InspectProjectV2Request, call: Call) -> pfs.InspectProjectV2Response:
        """One project; no defaults are kept for it."""
        info = self.InspectProject(pfs.InspectProjectRequest(project=request.project), call)
        return pfs.InspectProjectV2Response(info=info, defaults_json="{}")

    def ListProject(self, _request: pfs.ListProjectRequest, _call: Call) -> Iterator[pfs.ProjectInfo]:
        """All projects."""
        yield from map(infos.project_info, self.files.catalog.read(pfs_repos.list_projects))

    def DeleteProject(self, request: pfs.DeleteProjectRequest, _call: Call) -> Empty:
        """Remove an empty project."""
        name = request.project.name
        self.files.catalog.transact(lambda tx: pfs_repos.delete_project(tx, name))
        return Empty()

    def CreateRepo(self, request: pfs.CreateRepoRequest, _call: Call) -> Empty:
        """Make a repo or change its description."""
        return self.files.change(partial(changes.create_repo, request=request))

    def InspectRepo(self, request: pfs.InspectRepoRequest, _call: Call) -> pfs.RepoInfo:
        """One repo."""
        repo = nouns.repo_of(request.repo)
        return infos.repo_info(self.files.catalog.read(lambda tx: pfs_repos.inspect_repo(tx, repo)))

    def ListRepo(self, request: pfs.ListRepoRequest, _call: Call) -> Iterator[pfs.RepoInfo]:
        """Repos of some projects (none: all) and one type (empty: all), newest first; pages go by name."""
        projects = [nouns.project_of(project) for project in request.projects]
        found = self.files.catalog.read(lambda tx: pfs_repos.list_repos(tx, projects, request.type))
        if request.page.page_size > 0:
            first = request.page.page_size * max(request.page.page_index, 0)
            found = sorted(found, key=lambda info: info.repo)[first : first + request.page.page_size]
        yield from map(infos.repo_info, found)

    def DeleteRepo(self, request: pfs.DeleteRepoRequest, _call: Call) -> pfs.DeleteRepoResponse:
        """Remove a repo, if it is there."""
        return self.files.change(partial(changes.delete_repo, request=request))

    def DeleteRepos(self, request: pfs.DeleteReposRequest, _call: Call) -> pfs.DeleteReposResponse:
        """Remove the repos of some projects, or with `all` of all."""
        projects = [nouns.project_of(project) for project in request.projects]
        if not projects and not request.all:
            return pfs.DeleteReposResponse()
        wanted = [] if request.all else projects
        gone = self.files.change(lambda change: pfs_repos.delete_repos(change, wanted, force=request.force))
        return pfs.DeleteReposResponse(repos=map(nouns.repo, gone))

    def CreateBranch(self, request: pfs.CreateBranchRequest, _call: Call) -> Empty:
        """Make a branch, move it, or change what it depends on."""
        return self.files.change(partial(changes.create_branch, request=request))

    def InspectBranch(self, request: pfs.InspectBranchRequest, call: Call) -> pfs.BranchInfo:
        """One branch."""
        branch = nouns.branch_of(request.branch)
        info = self.files.catalog.read(lambda tx: pfs_branches.inspect_branch(tx, branch))
        return infos.branch_info(info, bare=call.bare_branches)

    def ListBranch(self, request: pfs.ListBranchRequest, call: Call) -> Iterator[pfs.BranchInfo]:
        """Branches of a repo, newest first."""
        repo, reverse = nouns.repo_of(request.repo), request.reverse
        found = self.files.catalog.read(lambda tx: pfs_branches.list_branches(tx, repo, oldest_first=reverse))
        for info in found:
            yield infos.branch_info(info, bare=call.bare_branches)

    def DeleteBranch(self, request: pfs.DeleteBranchRequest, _call: Call) -> Empty:
        """Remove a branch; its commits stay."""
        return self.files.change(partial(changes.delete_branch, request=request))
