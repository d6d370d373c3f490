#!/usr/bin/env bash
# Build the wheel with the shim for each kind of machine; called by `make wheel` as tools/wheel.sh PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
[ -x .venv-zig/bin/python ] || "$python" -c 'import sys, venv; venv.create(".venv-zig", with_pip=True)'
for attempt in 1 2 3; do
    .venv-zig/bin/python -m pip install --disable-pip-version-check -qq ziglang==0.17.1 && break
    [ "$attempt" != 3 ] || { echo "pip could not install ziglang" >&2; exit 1; }
    sleep $((attempt * 5))
done
"$python" tools/shims.py --zig "$PWD/.venv-zig/bin/python" --into src/trunkline/worker/shim/bin
"$python" -m hatchling build -t wheel
rm -rf src/trunkline/worker/shim/bin
ls -l dist/*.whl
