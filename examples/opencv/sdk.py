"""The example through Pachyderm's public Python client, in an environment of its own:

    python3 -m venv sdk && sdk/bin/pip install pachyderm-sdk==2.12.2
    sdk/bin/python sdk.py localhost 30650 photographs OUT

Create the image first: pachctl create image opencv:1.0 image --python 3 --requirements requirements.txt
"""

from __future__ import annotations

import sys
from pathlib import Path

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

HERE = Path(__file__).resolve().parent
REPO = pfs.Repo.from_uri("images")


def put(client: Client, folder: Path) -> str:
    """Commit every picture in `folder`, in one commit; its id."""
    with client.pfs.commit(branch=pfs.Branch(repo=REPO, name="master")) as commit:
        for path in sorted(folder.iterdir()):
            with path.open("rb") as picture:
                commit.put_file_from_file(path=f"/{path.name}", file=picture)
    return commit.id


def tell(client: Client, commit_set: str) -> None:
    """Wait for all that a commit caused, and print each job with its counters."""
    client.pfs.wait_commit_set(pfs.CommitSet(id=commit_set))
    for info in client.pps.inspect_job_set(job_set=pps.JobSet(id=commit_set), wait=True):
        name = info.job.pipeline.name
        print(f"{name}: {pps.JobState(info.state).name} processed {info.data_processed} skipped {info.data_skipped}")


def main(host: str, port: int, photographs: Path, out: Path) -> None:
    """Repo, two pipelines, two commits, and the sheet saved in `out`."""
    client = Client(host=host, port=port)
    client.pfs.create_repo(repo=REPO)
    for spec in ("edges.json", "montage.json"):
        client.pps.create_pipeline_v2(create_pipeline_request_json=(HERE / spec).read_text())
    for folder in ("first", "second"):
        tell(client, put(client, photographs / folder))
    sheet = pfs.File.from_uri("montage@master:/montage.png")
    with client.pfs.pfs_file(sheet) as picture:
        (out / "montage.png").write_bytes(picture.read())
    for info in client.pfs.list_file(file=pfs.File.from_uri("edges@master:/")):
        print(f"{info.file.path}: {info.size_bytes} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
