"""The rows: each does its work beside a plain tool's, turn about, so that both see the same machine."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

from measure import Bench, Row, shell
from trunkline.testing.serving import documents

MIB = 1 << 20
SMALL_FILE_BYTES = 3000
FILES_A_FOLDER = 1000


def random_file(path: Path, size_bytes: int) -> None:
    """A file of bytes that nothing can compress or has seen before."""
    with path.open("wb") as file:
        for start in range(0, size_bytes, 8 * MIB):
            file.write(os.urandom(min(8 * MIB, size_bytes - start)))
        file.flush()
        os.fsync(file.fileno())


def small_files(folder: Path, count: int, seed: int) -> None:
    """`count` text-like files of 3 KB, a thousand a folder, each different."""
    chance = random.Random(seed)
    words = [chance.randbytes(6).hex() for _ in range(500)]
    for index in range(count):
        if index % FILES_A_FOLDER == 0:
            (folder / f"d{index // FILES_A_FOLDER:04}").mkdir()
        text = f"{seed} {index}\n" + " ".join(chance.choices(words, k=260))
        (folder / f"d{index // FILES_A_FOLDER:04}" / f"f{index:06}.txt").write_text(text[:SMALL_FILE_BYTES])


def big_file(bench: Bench) -> None:
    """Put one large random file, beside `cp` and fsync of the same file."""
    source = bench.scratch("big") / "random.bin"
    for _ in range(bench.runs):
        random_file(source, bench.sized(2048 * MIB))
        with bench.server() as server:
            server.pachctl("create", "repo", "big")
            with bench.timed("pachctl put file"):
                server.pachctl("put", "file", "big@master:/random.bin", "-f", str(source))
                server.pachctl("wait", "commit", "big@master")
            with bench.timed("pachctl get file"):
                server.pachctl("get", "file", "big@master:/random.bin", "-o", str(source.parent / "back.bin"))
        shell("cmp random.bin back.bin && rm back.bin", source.parent)
        with bench.timed("cp, fsync"):
            shell("cp random.bin copy.bin && sync copy.bin", source.parent)
        shell("rm copy.bin", source.parent)
    shutil.rmtree(source.parent)


def many_files(bench: Bench) -> None:
    """Put and get a tree of small files, beside `cp -r` and git."""
    for run in range(bench.runs):
        work = bench.scratch("many")
        (work / "tree").mkdir()
        small_files(work / "tree", bench.sized(100_000), run)
        with bench.server() as server:
            server.pachctl("create", "repo", "many")
            with bench.timed("pachctl put file -r"):
                server.pachctl("put", "file", "-r", "many@master:/", "-f", str(work / "tree"))
                server.pachctl("wait", "commit", "many@master")
            with bench.timed("pachctl get file -r"):
                server.pachctl("get", "file", "-r", "many@master:/", "-o", str(work / "back"))
        shell("diff -r tree back && rm -r back", work)
        with bench.timed("cp -r, sync"):
            shell("cp -r tree copy && sync -f copy", work)
        with bench.timed("cp -r"):
            shell("cp -r tree again", work)
        with bench.timed("git add, commit"):
            shell(
                "git init -q . && git add tree && git -c user.name=b -c user.email=b@b commit -qm all && sync -f .",
                work,
            )
    shutil.rmtree(work)


def thousand_datums(bench: Bench) -> None:
    """Run `cp` once for each of 1,000 files, from the commit's end to the job's, beside `xargs -P2`."""
    count = bench.sized(1000)
    work = bench.scratch("datums")
    (work / "in").mkdir()
    for index in range(count):
        (work / "in" / f"f{index:04}").write_text(f"file {index}\n")
    with bench.server("--workers", "2") as server:
        for run in range(bench.runs):
            repo, name = f"in{run}", f"copy{run}"
            spec = {
                "pipeline": {"name": name},
                "transform": {"cmd": ["cp", "-rL", f"/pfs/{repo}/.", "/pfs/out/"]},
                "input": {"pfs": {"repo": repo, "glob": "/*"}},
            }
            server.pachctl("create", "repo", repo)
            server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(spec).encode())
            server.pachctl("start", "commit", f"{repo}@master")
            server.pachctl("put", "file", "-r", f"{repo}@master:/", "-f", str(work / "in"))
            with bench.timed("finish commit to finished output"):
                server.pachctl("finish", "commit", f"{repo}@master")
                server.pachctl("wait", "commit", f"{name}@master")
            job = next(documents(server.pachctl("list", "job", "-p", name, "--raw")))
            if int(job["data_processed"]) != count:
                raise RuntimeError(
                    f"{name} ended as {job['state']}, {job['data_processed']} of {count} datums processed"
                )
            with bench.timed("xargs -P2 cp"):
                shell("mkdir out && ls in | xargs -P2 -I{} cp in/{} out/ && sync -f out", work)
            shell("rm -r out", work)
    shutil.rmtree(work)


def start_up(bench: Bench) -> None:
    """How long the programs take to be of use."""
    with bench.server() as server:
        for _ in range(bench.runs * 3):
            with bench.timed("pachctl version --client-only"):
                server.pachctl("version", "--client-only")
            with bench.timed("pachctl list repo"):
                server.pachctl("list", "repo")
            with bench.timed("python -c pass"):
                subprocess.run([server.program("python"), "-c", "pass"], check=True)
    for _ in range(bench.runs):
        for name in ("pachd, empty data, to serving", "pachd, former data, to serving"):
            command = [server.program("pachd"), "--data", str(bench.folder / "pachd"), "--listen", "127.0.0.1:0"]
            os.sync()
            start = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                assert process.stdout is not None  # noqa: S101 - asked for one line above
                for line in process.stdout:
                    if b"pachd is serving on" in line:
                        bench.note(name, time.perf_counter() - start)
                        break
                start = time.perf_counter()
                process.terminate()
                process.communicate()
                bench.note("SIGTERM to its end", time.perf_counter() - start)
        shutil.rmtree(bench.folder / "pachd")


ROWS = (
    Row(
        "big-file",
        "put one 2 GiB random file",
        big_file,
        "pachctl put file",
        ("cp, fsync", "pachctl get file"),
        factor=1.5,
    ),
    Row(
        "many-files",
        "put 100,000 files of 3 KB, one commit",
        many_files,
        "pachctl put file -r",
        ("cp -r, sync", "git add, commit"),
        goal="10 s",
    ),
    Row("get-files", "get these 100,000 files", many_files, "pachctl get file -r", ("cp -r",), factor=2.0),
    Row(
        "datums",
        "1,000 datums of cp",
        thousand_datums,
        "finish commit to finished output",
        ("xargs -P2 cp",),
        factor=1.5,
        plus_s=0.5,
    ),
    Row(
        "client-start",
        "start of the client",
        start_up,
        "pachctl version --client-only",
        ("python -c pass", "pachctl list repo"),
        goal="0.1 s",
    ),
    Row(
        "server-start",
        "start of the server",
        start_up,
        "pachd, empty data, to serving",
        ("pachd, former data, to serving", "SIGTERM to its end"),
        goal="1 s",
    ),
)
