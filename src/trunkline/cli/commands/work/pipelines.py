"""Pipelines: show, start and stop, delete, draw."""

from __future__ import annotations

import json
import sys
from itertools import islice

import click

from trunkline.cli import complete, places
from trunkline.cli.commands.work.states import STATES, history_option, state_option
from trunkline.cli.late import dag, json_format, names, pfs, pipeline_view, pps
from trunkline.cli.options import (
    all_projects_option,
    command,
    full_timestamps_option,
    no_pager_option,
    number_option,
    project_option,
    raw_options,
)
from trunkline.cli.session import Session, pass_session
from trunkline.errors import InvalidArgument
from trunkline.model import addresses
from trunkline.model.names import Pipeline, is_id


@command()
@click.argument("pipeline", metavar="PIPELINE[^N]", shell_complete=complete.pipelines)
@project_option
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, pipeline: str, project: str | None, raw: str, full: bool) -> None:
    """Show a pipeline in full; with ^N, as it was N versions ago."""
    found, way = addresses.parse_pipeline(pipeline, session.project(project))
    asked = names.pipeline(Pipeline(found.project, str(way)))
    info = session.client.pps.InspectPipeline(pps.InspectPipelineRequest(pipeline=asked, details=True))
    if raw:
        session.raw([info], raw)
    else:
        session.details(pipeline_view.pipeline_details(info, session.when(full)))


@command()
@click.argument("pipeline", required=False, shell_complete=complete.pipelines)
@click.option("-s", "--spec", is_flag=True, help="Print the specs, as `create pipeline` takes them.")
@history_option
@click.option("-c", "--commit", "set_id", metavar="ID", help="The pipelines as they were in this commit set.")
@state_option(STATES)
@number_option
@all_projects_option
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, pipeline: str | None, spec: bool, history: int, set_id: str | None, state: tuple[str, ...],
    number: int | None, all_projects: bool, project: str | None, raw: str, full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List the pipelines of a project."""
    in_project = session.project(project)
    request = pps.ListPipelineRequest(
        history=history, details=True, projects=[] if all_projects else [names.project(in_project)]
    )
    if pipeline is not None:
        request.pipeline.CopyFrom(names.pipeline(places.pipeline(pipeline, in_project)))
    if set_id is not None:
        if not is_id(set_id):
            raise InvalidArgument(f'"{set_id}" is not the id of a commit set (32 hex digits)')
        request.commit_set.CopyFrom(pfs.CommitSet(id=set_id))
    wanted = set(state)
    found = session.client.pps.ListPipeline(request)
    chosen = (info for info in found if not wanted or pipeline_view.pipeline_state(info.state) in wanted)
    infos = list(islice(chosen, number))
    if spec:
        _print_specs(infos, raw)
    elif raw:
        session.raw(infos, raw)
    else:
        when, now_us = session.when(full), session.ambient.now_us()
        rows = (pipeline_view.pipeline_row(info, when, now_us) for info in infos)
        session.table(pipeline_view.PIPELINE_HEADER, rows, pager=not no_pager)
        _hint(session, infos)


def _print_specs(infos: list[pps.PipelineInfo], form: str) -> None:
    from trunkline.cli.show.raw import to_yaml

    for info in infos:
        if info.user_spec_json:
            spec = json.loads(info.user_spec_json)
        else:
            request = pps.CreatePipelineRequest(pipeline=info.pipeline)
            for field, value in info.details.ListFields():
                if field.name in request.DESCRIPTOR.fields_by_name and field.message_type is not None:
                    part = getattr(request, field.name)
                    (part.extend if field.is_repeated else part.CopyFrom)(value)
                elif field.name in request.DESCRIPTOR.fields_by_name:
                    setattr(request, field.name, value)
            spec = json_format.MessageToDict(request, preserving_proto_field_name=True)
        click.echo(f"---\n{to_yaml(spec)}" if form == "yaml" else json.dumps(spec, indent=2, ensure_ascii=False))


def _hint(session: Session, infos: list[pps.PipelineInfo]) -> None:
    troubled = list(dict.fromkeys(info.pipeline.name for info in infos if pipeline_view.is_troubled(info)))
    if troubled:
        session.note(
            f"{len(troubled)} of these need a look ({', '.join(troubled[:3])}{', ...' if len(troubled) > 3 else ''}): "
            "`pachctl inspect pipeline NAME` says why, `pachctl logs -p NAME` what the code said."
        )


@command()
@click.argument("pipeline", required=False, shell_complete=complete.pipelines)
@click.option("--all", "every", is_flag=True, help="All pipelines of the project.")
@all_projects_option
@click.option("-f", "--force", is_flag=True, help="Also where other pipelines read its output.")
@click.option("--keep-repo", is_flag=True, help="Keep the output repo.")
@project_option
@pass_session
def delete(
    session: Session, pipeline: str | None, every: bool, all_projects: bool, force: bool, keep_repo: bool,
    project: str | None,
) -> None:  # fmt: skip
    """Delete a pipeline with its output repo, or all pipelines."""
    if (pipeline is not None) is (every or all_projects):
        raise click.UsageError("give either a pipeline or --all")
    if pipeline is None:
        projects = [] if all_projects else [names.project(session.project(project))]
        session.client.pps.DeletePipelines(
            pps.DeletePipelinesRequest(projects=projects, force=force, keep_repo=keep_repo, all=all_projects)
        )
        return
    place = names.pipeline(places.pipeline(pipeline, session.project(project)))
    request = pps.DeletePipelineRequest(pipeline=place, force=force, keep_repo=keep_repo)
    session.client.pps.DeletePipeline(request)


@command()
@click.argument("pipeline", shell_complete=complete.pipelines)
@project_option
@pass_session
def start(session: Session, pipeline: str, project: str | None) -> None:
    """Start a stopped pipeline again."""
    place = names.pipeline(places.pipeline(pipeline, session.project(project)))
    session.client.pps.StartPipeline(pps.StartPipelineRequest(pipeline=place))


@command()
@click.argument("pipeline", shell_complete=complete.pipelines)
@project_option
@pass_session
def stop(session: Session, pipeline: str, project: str | None) -> None:
    """Stop a pipeline; new commits wait until it is started again."""
    place = names.pipeline(places.pipeline(pipeline, session.project(project)))
    session.client.pps.StopPipeline(pps.StopPipelineRequest(pipeline=place, must_exist=True))


@command()
@click.argument("pipeline", shell_complete=complete.pipelines)
@click.option("--reprocess", is_flag=True, help="Every datum, also those that were processed before.")
@project_option
@pass_session
def rerun(session: Session, pipeline: str, reprocess: bool, project: str | None) -> None:
    """Run a pipeline once more on what its inputs hold."""
    place = names.pipeline(places.pipeline(pipeline, session.project(project)))
    session.client.pps.RerunPipeline(pps.RerunPipelineRequest(pipeline=place, reprocess=reprocess))


@command()
@click.argument("pipeline", shell_complete=complete.pipelines)
@project_option
@pass_session
def run_cron(session: Session, pipeline: str, project: str | None) -> None:
    """Let a pipeline's cron inputs tick now."""
    place = names.pipeline(places.pipeline(pipeline, session.project(project)))
    session.client.pps.RunCron(pps.RunCronRequest(pipeline=place))


@command()
@all_projects_option
@project_option
@raw_options
@pass_session
def check_status(session: Session, all_projects: bool, project: str | None, raw: str) -> None:
    """List the pipelines that crash, have failed, or are up for longer than their specs expect."""
    in_project = session.project(project)
    asked = (
        pps.CheckStatusRequest(all=True) if all_projects else pps.CheckStatusRequest(project=names.project(in_project))
    )
    found = list(session.client.pps.CheckStatus(asked))
    if raw:
        session.raw(found, raw)
    elif found:
        session.table(pipeline_view.ALERT_HEADER, (row for one in found for row in pipeline_view.alert_rows(one)))
    else:
        session.note("No pipeline crashes, has failed for good or is up for too long.")


@command()
@click.option("--box-width", metavar="N", type=click.IntRange(3, 60), default=11, help="Letters in a box; 11.")
@click.option("--edge-height", metavar="N", type=click.IntRange(3, 20), default=5, help="Lines between boxes; 5.")
@click.option("-c", "--commit", "set_id", metavar="ID", help="The pipelines as they were in this commit set.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with plain characters.")
@project_option
@pass_session
def draw(
    session: Session, box_width: int, edge_height: int, set_id: str | None, ascii_only: bool, project: str | None
) -> None:
    """Draw the pipelines of a project and the repos they read."""
    in_project = session.project(project)
    request = pps.ListPipelineRequest(details=True, projects=[names.project(in_project)])
    if set_id is not None:
        request.commit_set.CopyFrom(pfs.CommitSet(id=set_id))
    infos = list(session.client.pps.ListPipeline(request))
    if not infos:
        session.note(f'project "{in_project}" has no pipelines; create one with `pachctl create pipeline -f SPEC`')
        return
    nodes, parents = pipeline_view.graph(infos)
    plain = ascii_only or "utf" not in (sys.stdout.encoding or "").lower()
    lines = dag.draw(
        nodes, parents, box_width=box_width, edge_height=edge_height, ascii_only=plain, colour=session.colour
    )
    session.print_lines(lines)
