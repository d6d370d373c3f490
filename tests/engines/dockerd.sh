#!/usr/bin/env bash
# A container engine for tests, as root: in process, mount and network namespaces of its own, so that its end takes every
# container, mount and rule of its with it. Containers reach nothing: what they need comes through Unix sockets.
#
#   tests/engines/dockerd.sh FOLDER      runs until it is ended; the socket is FOLDER/docker.sock
#
# An engine that is killed is started again, as by a system's init. DATA_BYTES: a disk for it of that size, in memory.
set -euo pipefail
folder=$1
mkdir -p "$folder"
export folder
exec unshare --net --mount --pid --fork --kill-child --mount-proc bash -euc '
    mount --make-rprivate /
    mount -t tmpfs -o mode=755 run /run
    ip link set lo up
    mkdir -p "$folder/data"
    [ -z "${DATA_BYTES:-}" ] || mount -t tmpfs -o "size=$DATA_BYTES" data "$folder/data"
    while true; do
        rm -f /run/docker.pid
        dockerd --data-root "$folder/data" --exec-root /run/docker --pidfile /run/docker.pid \
            --host "unix://$folder/docker.sock" --ip6tables=false >>"$folder/dockerd.log" 2>&1 || true
        sleep 0.2
    done
'
