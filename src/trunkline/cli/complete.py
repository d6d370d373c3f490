"""Names that the shell can complete, asked from the server. Whatever goes wrong completes nothing, in silence.

bash splits words at `@` and `:`, so only whole names are offered, not what may follow them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from trunkline.cli.late import names, pfs, pps
from trunkline.cli.session import Session

TIMEOUT_S = 2.0
"""How long a key press may wait."""

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(found: Callable[[Session], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        session = ctx.find_object(Session)
        if session is None:
            return []
        try:
            return sorted(name for name in set(found(session)) if name.startswith(incomplete))
        except Exception:
            return []
        finally:
            session.close()

    return complete


def _projects(session: Session) -> Iterable[str]:
    answers = session.client.pfs.ListProject(pfs.ListProjectRequest(), timeout=TIMEOUT_S)
    return [info.project.name for info in answers]


def _repos(session: Session) -> Iterable[str]:
    request = pfs.ListRepoRequest(type="user", projects=[names.project(session.project(None))])
    return [info.repo.name for info in session.client.pfs.ListRepo(request, timeout=TIMEOUT_S)]


def _pipelines(session: Session) -> Iterable[str]:
    request = pps.ListPipelineRequest(projects=[names.project(session.project(None))])
    return [info.pipeline.name for info in session.client.pps.ListPipeline(request, timeout=TIMEOUT_S)]


def _contexts(session: Session) -> Iterable[str]:
    return session.config.contexts


projects = _completer(_projects)
repos = _completer(_repos)
pipelines = _completer(_pipelines)
contexts = _completer(_contexts)
