"""Purges: files taken out of all history."""

from __future__ import annotations

from collections.abc import Iterator

import click

from trunkline.cli import complete, places
from trunkline.cli.late import names, own
from trunkline.cli.options import command, full_timestamps_option, no_pager_option, project_option, raw_options
from trunkline.cli.progress import waiting
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show import units
from trunkline.errors import FailedPrecondition, InvalidArgument

HEADER = ("ID", "PROJECT", "REPO", "PATH", "STARTED", "STAGE", "COMMITS", "FILES", "REASON")
SHOWN = 20
"""How many commits are printed before it is asked."""


@command()
@click.argument("place", metavar="REPO:PATH", shell_complete=complete.repos)
@click.option("--glob", is_flag=True, help="PATH is a pattern, as in `glob file`.")
@click.option("--tagged", is_flag=True, help="Also from commits with a tag, which stays on what is left.")
@click.option("--reason", default="", help="Why; kept with the record.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would go.")
@click.option("-y", "--yes", "-f", "--force", "yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the bytes are gone.")
@project_option
@raw_options
@pass_session
def purge(
    session: Session, place: str, glob: bool, tagged: bool, reason: str, dry_run: bool, yes: bool, no_wait: bool,
    project: str | None, raw: str,
) -> None:  # fmt: skip
    """Take a file, or a directory with all below it, out of every commit of a repo, with all that was made from it.

    What datums that saw it wrote goes as well, in every pipeline below; none of them counts as done any more. This
    cannot be undone. Prints the purge's id; `pachctl inspect purge ID` shows whether the bytes are gone.
    """
    at = places.anything(place, session.project(project))
    if at.path is None or (not at.path.strip("/ ") and at.path.strip() != "/"):
        raise InvalidArgument(f'"{place}" names no path; write for example {at.repo.name}:/path')
    if at.target:
        raise InvalidArgument(f"a purge is of all history; write {at.repo.name}:{at.path}, without @{at.revision}")
    request = own.PurgePathRequest(
        repo=names.repo(at.repo), path=at.path, glob=glob, tagged=tagged, reason=reason, dry_run=True
    )
    if dry_run or not yes:
        answers = session.client.purges.PurgePath(request)
        if raw and dry_run:
            session.raw(answers, raw)
            return
        _preview(answers)
        if dry_run:
            return
        click.confirm("This cannot be undone. Purge it?", abort=True)
    request.dry_run = False
    begun = next(answer for answer in session.client.purges.PurgePath(request) if answer.HasField("purge")).purge
    if not no_wait:
        with waiting(f"purge {begun.id}"):
            begun = session.client.purges.InspectPurge(own.InspectPurgeRequest(id=begun.id, wait=True))
    if raw:
        session.raw([begun], raw)
        return
    click.echo(begun.id)
    _end(begun, no_wait)


def _preview(answers: Iterator[own.PurgePathResponse]) -> None:
    left, logs = SHOWN, ""
    for answer in answers:
        if answer.HasField("purge"):
            info = answer.purge
            results = f", and the results of {_many(info.datums, 'datum')}:" if info.datums else ":"
            what = f"{_many(info.files, 'file')} ({units.size(info.size_bytes)})"
            click.echo(f"What would go: {what}, from {_many(info.commits, 'commit')}{results}")
            logs = _logs(info) if info.datums else ""
        elif left:
            left -= 1
            click.echo(f"  {_commit_line(answer.commit)}")
        else:
            left = -1
            break
    if left < 0:
        click.echo("  and more; --dry-run --raw shows all")
    if logs:
        click.echo(f"Logs would stay: {logs}")


def _commit_line(one: own.PurgedCommit) -> str:
    repo = one.commit.repo
    text = f"{repo.project.name}/{repo.name}@{one.commit.id}: {' '.join(one.paths[:3])}"
    more = one.files - min(3, len(one.paths))
    text += f" and {more} more" if more > 0 else ""
    return f"{text} ({units.size(one.size_bytes)})"


def _end(info: own.PurgeInfo, no_wait: bool) -> None:
    if info.trouble:
        raise FailedPrecondition(
            f"the purge has begun and does not get on: {info.trouble}; it is tried again by itself, `pachctl inspect "
            f"purge {info.id}` shows how far it is"
        )
    if info.stage == own.PURGE_GONE:
        what = f"{_many(info.files, 'file')} from {_many(info.commits, 'commit')}"
        where = "in a file" if info.datums else "stored"
        click.echo(f"Purged: {what}. No byte of it is {where} any more.", err=True)
    elif not no_wait:
        click.echo("No commit has it any more; its bytes are being deleted.", err=True)
    if info.datums:
        click.echo(f"But logs: {_logs(info)}.", err=True)
    if info.kept_files:
        click.echo(
            f"But for the same bytes that were put elsewhere and stay, in {_many(info.kept_files, 'file')}, as "
            f"{info.kept[0]}; `pachctl inspect purge {info.id}` names more",
            err=True,
        )


@command()
@click.argument("id")
@click.option("--commits", is_flag=True, help="Also what each commit lost.")
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, id: str, commits: bool, raw: str, full: bool) -> None:
    """Show a purge: what went, how far it is, and who else has the same bytes."""
    info = session.client.purges.InspectPurge(own.InspectPurgeRequest(id=id))
    lost = session.client.purges.ListPurgedCommit(own.ListPurgedCommitRequest(purge=id)) if commits else ()
    if raw:
        session.raw([info, *lost], raw)
        return
    when = session.when(full)
    pairs = [
        ("Id", info.id),
        ("Path", f"{info.repo.project.name}/{info.repo.name}:{info.path}"),
        ("Started", when(info.started)),
        ("Stage", _stage(info)),
        ("Files", f"{info.files} ({units.size(info.size_bytes)})"),
        ("Commits", str(info.commits)),
        ("Datums", str(info.datums)),
    ]
    if info.reason:
        pairs.append(("Reason", info.reason))
    if info.HasField("gone"):
        pairs.append(("Gone", f"{when(info.gone)}; every blob that had bytes of it was looked for, and is not there"))
    if info.left:
        pairs.append(("Left", f"{info.left} chunks, file sets and blobs, as long as reads or writes may need them"))
    if info.trouble:
        pairs.append(("Trouble", info.trouble))
    if info.datums:
        pairs.append(("Logs", _logs(info)))
    if info.ended_filesets:
        pairs.append(("Ended", f"{info.ended_filesets} temporary file sets that had it"))
    if info.kept_files:
        more = info.kept_files - len(info.kept)
        pairs.append(("Kept By", f"{info.kept_files} files with the same bytes"))
        pairs += [("", name) for name in info.kept]
        pairs += [("", f"and {more} more")] if more > 0 else []
    session.details([*pairs, *(("Commit", _commit_line(one)) for one in lost)])


@command()
@click.argument("id")
@pass_session
def stop(session: Session, id: str) -> None:
    """End a purge that cannot get on while it writes history anew.

    Commits that it has come to stay without the file, the others keep it. The same purge can be begun again.
    """
    session.client.purges.StopPurge(own.StopPurgeRequest(id=id))


@command()
@click.argument("repo", metavar="[REPO]", required=False, shell_complete=complete.repos)
@click.option("-n", "--number", metavar="N", type=click.IntRange(min=1), help="At most this many.")
@click.option("--after", metavar="ID", default="", help="Only those older than this one.")
@click.option("--reverse", is_flag=True, help="Oldest first; --after then means newer.")
@project_option
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(
    session: Session, repo: str | None, number: int | None, after: str, reverse: bool, project: str | None, raw: str,
    full: bool, no_pager: bool,
) -> None:  # fmt: skip
    """List purges, newest first: all, or those of a repo."""
    request = own.ListPurgeRequest(number=number or 0, marker=after, reverse=reverse)
    if repo is not None:
        request.repo.CopyFrom(names.repo(places.repo(repo, session.project(project))))
    infos = session.client.purges.ListPurge(request)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    rows = (
        (
            info.id, info.repo.project.name, info.repo.name, info.path, when(info.started), _stage(info),
            str(info.commits), str(info.files), info.reason,
        )
        for info in infos
    )  # fmt: skip
    session.table(HEADER, rows, pager=not no_pager)


def _logs(info: own.PurgeInfo) -> str:
    return f"what the code of {_many(info.datums, 'datum')} printed stays until its pipeline is deleted"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _stage(info: own.PurgeInfo) -> str:
    return own.PurgeStage.Name(info.stage).removeprefix("PURGE_").lower()
