"""Variables that are the same for all datums of a claim: the machine's, the image's, the spec's and ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trunkline.worker.batching import asking
from trunkline.worker.inputs.variables import reserved
from trunkline.worker.launch import HOME_INSIDE, VENV_INSIDE
from trunkline.worker.ports import Claim

if TYPE_CHECKING:
    from trunkline.worker.execute import Bench

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INHERITED = (
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_PROXY",
    "no_proxy",
)
_INHERITED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "HTTP_", "HTTPS_", "http_", "https_")


def inherited(name: str) -> bool:
    """Whether code gets this variable of the worker's own."""
    return name in _INHERITED or name.startswith(_INHERITED_PREFIXES)


def claim_environment(bench: Bench, claim: Claim) -> dict[str, str]:
    """Variables that are the same for all datums of a claim; those of ours win over the spec's."""
    step = claim.step
    contained = step.image.contained
    env = {name: value for name, value in os.environ.items() if inherited(name) and not contained}
    if not bench.completed:
        env.setdefault("PATH", _PATH)
    env |= step.image.env
    env |= {name: value for name, value in step.env.items() if not reserved(name)}
    if step.image.python or step.image.requirements:
        env["PATH"] = f"{VENV_INSIDE}/bin:{env['PATH']}"
        env["VIRTUAL_ENV"] = VENV_INSIDE
    if not contained:
        env["PATH"] += f":{os.path.dirname(sys.executable)}"  # there pachctl lies
        env["HOME"] = HOME_INSIDE if bench.sandbox.namespaces else str(bench.scratch.tmp / "home")
    env |= bench.variables
    env |= _to_buckets(bench, claim, env)
    if contained and not bench.completed:  # where the shim leads connections out
        env["PACHD_PEER_SERVICE_HOST"] = "127.0.0.1"
    if claim.job.id:
        env |= {"PACH_JOB_ID": claim.job.id, "PACH_OUTPUT_COMMIT_ID": claim.output_commit or claim.job.id}
    else:
        env["PACH_CONFIG"] = "/pachctl/config.json"
    if step.batching:
        env[asking.VARIABLE] = f"{bench.inside}/{asking.NAME}"
    env |= {
        "PPS_PIPELINE_NAME": claim.job.pipeline.name,
        "PPS_PROJECT_NAME": claim.job.pipeline.project,
        "PPS_SPEC_COMMIT": claim.spec_commit,
    }
    return env


def _to_buckets(bench: Bench, claim: Claim, env: Mapping[str, str]) -> dict[str, str]:
    """Variables by which code finds its buckets, for which no proxy is of use."""
    found = dict(bench.buckets.begin(claim))
    if found and any(name.lower() == "http_proxy" for name in env):
        around = [value for name in ("NO_PROXY", "no_proxy") if (value := env.get(name))]
        found |= dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(["127.0.0.1", *around]))
    return found
