"""`make demo`: run the example from an empty server to a picture, and show what a second commit costs.

Everything lives in demo-data/ (server, client settings, photographs) and demo-out/ (results) of this checkout; your own
pachctl settings are not touched. KEEP=1 leaves the server running at the end and says how to use it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import photographs
from trunkline.testing.serving import NotServing, PachdProcess, documents

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA, OUT = ROOT / "demo-data", ROOT / "demo-out"
PIPELINES = ("edges", "montage")
ENDED = {"JOB_SUCCESS", "JOB_FAILURE", "JOB_KILLED", "JOB_UNRUNNABLE"}
GIVE_UP_S = 600

Job = dict[str, Any]


class Failed(Exception):
    """A step did not work; the message is for the person who watches."""


class Demo:
    """The steps, and the console they are shown on."""

    def __init__(self, server: PachdProcess, console: Console) -> None:
        self.server = server
        self.console = console
        self.seen: set[str] = set()  # ids of jobs that were watched to their end

    def pachctl(self, *words: str, show: bool = True) -> str:
        """Run one command as a person would, and return what it printed. Raises Failed with its complaint."""
        if show:
            self.say(f"$ pachctl {shlex.join(words)}", style="bold")
        result = subprocess.run(
            [self.server.program("pachctl"), *words],
            env=self.server.client_env,
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            self.server.must_live()
            raise Failed(f"pachctl {shlex.join(words)}\n{result.stderr.strip() or result.stdout.strip()}")
        if show and result.stderr.strip():
            self.say(result.stderr, style="dim")
        return result.stdout

    def say(self, text: str, style: str = "") -> None:
        """Print what a program said, as it stands."""
        self.console.print(text.rstrip(), style=style, highlight=False, markup=False, soft_wrap=True)

    def jobs(self) -> list[Job]:
        """Every job of every pipeline, newest first."""
        return list(documents(self.pachctl("list", "job", "--expand", "--raw", "-o", "json", show=False)))

    def title(self, text: str) -> None:
        """A heading between steps."""
        self.console.print()
        self.console.rule(f"[bold cyan]{text}[/]", align="left", style="cyan")

    def put(self, folder: Path) -> None:
        """Commit every photograph of `folder`, in one commit."""
        files = [word for path in sorted(folder.iterdir()) for word in ("-f", os.path.relpath(path, HERE))]
        self.pachctl("put", "file", "images@master", *files)

    def watch(self) -> dict[str, Job]:
        """Show the next job of each pipeline until both have ended. Raises Failed if one did not succeed."""
        columns = (
            SpinnerColumn(),
            TextColumn("[bold]{task.description:<8}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        ended: dict[str, Job] = {}
        with Progress(*columns, console=self.console) as progress:
            bars = {name: progress.add_task(name, total=None, note="waiting") for name in PIPELINES}
            for _ in range(GIVE_UP_S * 4):
                for job in self.jobs():
                    name = job["job"]["pipeline"]["name"]
                    if name not in bars or name in ended or job["job"]["id"] in self.seen:
                        continue
                    progress.update(bars[name], **bar_of(job))
                    if job["state"] in ENDED:
                        ended[name] = job
                        progress.stop_task(bars[name])
                if len(ended) == len(PIPELINES):
                    break
                self.server.must_live()
                self.server.pause(0.25)
        for name in PIPELINES:
            if name not in ended:
                raise Failed(f"{name} did not end within {GIVE_UP_S} s; see {self.server.log}")
            self.must_succeed(ended[name])
        self.seen |= {job["job"]["id"] for job in ended.values()}
        return ended

    def must_succeed(self, job: Job) -> None:
        """Raise Failed, with the job's reason and the last lines that its code printed, unless it succeeded."""
        if job["state"] == "JOB_SUCCESS":
            return
        name, number = job["job"]["pipeline"]["name"], job["job"]["id"]
        logs = self.pachctl("logs", "--job", f"{name}@{number}").strip().splitlines()[-15:]
        raise Failed(f"{name}@{number} ended as {job['state']}: {job.get('reason', '')}\n" + "\n".join(logs))

    def save(self, folder: Path) -> None:
        """Get the drawings and the sheet as they are now."""
        folder.mkdir(parents=True, exist_ok=True)
        self.pachctl("get", "file", "-r", "edges@master:/", "-o", os.path.relpath(folder / "edges", HERE))
        self.pachctl("get", "file", "montage@master:/montage.png", "-o", os.path.relpath(folder / "montage.png", HERE))

    def run(self) -> None:
        """The whole show."""
        self.title("An image from a folder of Python, a repo, four photographs")
        with self.console.status("fetching photographs (13 MB, once)"):
            photographs.fetch(DATA / "photographs")
        self.pachctl("create", "image", "opencv:1.0", "image", "--python", "3", "--requirements", "requirements.txt")
        self.pachctl("create", "repo", "images")
        self.put(DATA / "photographs" / "first")

        self.title("Two pipelines: photographs to drawings, drawings to one sheet")
        self.pachctl("create", "pipeline", "-f", "edges.json")
        self.pachctl("create", "pipeline", "-f", "montage.json")
        self.say("The first job also installs numpy and Pillow for the image, once.", style="dim")
        first = self.watch()
        self.save(OUT / "first")

        self.title("A second commit: two more photographs")
        self.put(DATA / "photographs" / "second")
        second = self.watch()
        self.save(OUT / "second")
        self.tell(first, second)

    def tell(self, first: dict[str, Job], second: dict[str, Job]) -> None:
        """The job table, the DAG, what was processed and skipped, and where the pictures lie."""
        self.title("All jobs")
        self.say(self.pachctl("list", "job", "--expand"))
        self.title("The DAG")
        self.say(self.pachctl("draw", "pipeline"))
        self.title("What each commit cost")
        table = Table("commit", "pipeline", "datums", "processed", "skipped")
        for label, jobs in (("first: 4 photographs", first), ("second: 2 more", second)):
            for name in PIPELINES:
                done, skipped, total = (
                    str(count(jobs[name], f"data_{key}")) for key in ("processed", "skipped", "total")
                )
                table.add_row(label, name, total, done, skipped)
                label = ""
            table.add_section()
        self.console.print(table)
        edges = second["edges"]
        self.console.print(
            f"The second commit drew {count(edges, 'data_processed')} photographs and took over "
            f"{count(edges, 'data_skipped')} drawings made before."
        )
        self.title("The pictures")
        for path in sorted(OUT.rglob("*.png")):
            self.say(f"  {path.relative_to(ROOT)}")
        self.console.print(f"Look at [bold green]{(OUT / 'second' / 'montage.png').relative_to(ROOT)}[/] first.")


def count(job: Job, field: str) -> int:
    """A counter of a job; protobuf's JSON writes 64-bit numbers as text and leaves zeros out."""
    return int(job.get(field, 0))


def bar_of(job: Job) -> dict[str, Any]:
    """How a job is drawn: what stands on its bar and how full that is."""
    total, skipped = count(job, "data_total"), count(job, "data_skipped")
    processed = count(job, "data_processed")
    state = job["state"].removeprefix("JOB_").lower()
    note = f"{state}: {processed} processed, {skipped} skipped of {total}" if total else state
    return {"total": total or None, "completed": processed + skipped, "note": note}


def main() -> int:
    """Run it; 0 if it worked. Leaves no process behind unless KEEP=1."""
    console = Console(highlight=False)
    keep = os.environ.get("KEEP", "") not in ("", "0")
    shutil.rmtree(OUT, ignore_errors=True)
    server = PachdProcess(DATA)
    try:
        with console.status("starting pachd"):
            server.start()
        console.print(f"pachd serves on [bold]{server.address}[/], data in {server.data.relative_to(ROOT)}/")
        Demo(server, console).run()
    except (Failed, NotServing, photographs.NoPhotographs) as problem:
        console.print("\n[bold red]The demo stopped.[/]")
        console.print(f"{problem}\npachd's own log: {server.log}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130
    finally:
        if keep and server.running():
            console.print(f"\npachd goes on. Try:\n{server.how_to_use}", markup=False, soft_wrap=True)
        else:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
