"""Memory that messages pass through is used again, and given back."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource
from trunkline.app.memory import few_arenas, give_back, kept_buffers
few_arenas()
if {kept}:
    kept_buffers()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def held():
    with open("/proc/self/statm") as figures:
        return int(figures.read().split()[1])

for _ in range(3):
    [bytes(19 << 20) + b"x" for _ in range(2)]  # a message and its value
before = faults()
for _ in range(10):
    [bytes(19 << 20) + b"x" for _ in range(2)]
here, kept = faults() - before, held()
give_back()
print(json.dumps([here, kept - held()]))
"""


def run(kept: bool) -> tuple[int, int]:
    """Faults of ten uploads' messages, and pages given back afterwards."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(kept=kept)], check=True, capture_output=True, text=True)
    faults, back = json.loads(done.stdout)
    return faults, back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has its own ways")
def test_buffers_of_messages_are_used_again_and_given_back() -> None:
    faults, back = run(kept=True)
    left_alone, _ = run(kept=False)
    assert faults < left_alone / 20
    assert back > 10_000, "pages of 4 KiB"


COLUMNS = """
from trunkline.app.memory import columns_from_jemalloc
columns_from_jemalloc()
import resource, time
import numpy as np
import pyarrow as pa

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def held():
    with open("/proc/self/statm") as figures:
        return int(figures.read().split()[1])

def columns(size, count):
    made = [pa.allocate_buffer(size) for _ in range(count)]
    for one in made:
        np.frombuffer(one, np.uint8)[:] = 1
    return held()

{work}
"""
LARGE = """
columns(8 << 20, 10)
before = held()
print(columns(8 << 20, 10) - before, held() - before)
"""
SMALL = """
columns(64 << 10, 300)
before = faults()
for _ in range(100):
    columns(64 << 10, 30)
print(100 * 30 * 16, faults() - before)
"""
LEFT = """
columns(64 << 10, 300)
before, end = held(), time.monotonic() + 60
columns(64 << 10, 3000)
while held() > before + 2000 and time.monotonic() < end:
    time.sleep(0.01)
print(3000 * 16, held() - before)
"""


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(LARGE, id="large ones go back as they are freed"),
        pytest.param(SMALL, id="small ones are used again"),
        pytest.param(LEFT, id="small ones go back when nothing needs them"),
    ],
)
def test_columns_are_kept_for_a_moment(work: str) -> None:
    done = subprocess.run([sys.executable, "-c", COLUMNS.format(work=work)], check=True, capture_output=True, text=True)
    took, left = map(int, done.stdout.split())
    assert took > 20_000, "pages of 4 KiB"
    assert left < took / 10
