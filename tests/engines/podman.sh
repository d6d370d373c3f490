#!/usr/bin/env bash
# Podman for tests, as root, served to clients of Docker's API: in process, mount and network namespaces of its own, as
# dockerd.sh does it.
#
#   tests/engines/podman.sh FOLDER      runs until it is ended; the socket is FOLDER/podman.sock
#
# A service that is killed is started again. DATA_BYTES: a disk for it of that size, in memory.
set -euo pipefail
folder=$1
mkdir -p "$folder/home" "$folder/tmp"
# What a machine without systemd needs: its own limits are lower than those that Podman would set, control groups are
# plain folders, and there is no journal.
cat >"$folder/containers.conf" <<END
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
export folder TMPDIR="$folder/tmp" HOME="$folder/home" CONTAINERS_CONF="$folder/containers.conf"
unset DOCKER_HOST CONTAINER_HOST XDG_RUNTIME_DIR
exec unshare --net --mount --pid --fork --kill-child --mount-proc bash -euc '
    mount --make-rprivate /
    mount -t tmpfs -o mode=755 run /run
    ip link set lo up
    cd "$folder" # where conmon leaves a file named oom
    mkdir -p "$folder/data"
    [ -z "${DATA_BYTES:-}" ] || mount -t tmpfs -o "size=$DATA_BYTES" data "$folder/data"
    while true; do
        rm -f "$folder/podman.sock"
        podman --root "$folder/data" --runroot /run/containers/storage system service --time 0 \
            "unix://$folder/podman.sock" >>"$folder/podman.log" 2>&1 || true
        sleep 0.2
    done
'
