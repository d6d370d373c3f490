#!/usr/bin/env bash
# Ceph's object gateway for tests, as root: the S3 server that takes least for granted. A monitor, a store in memory and
# the gateway, on loopback, in a process namespace of their own, so that the end of this takes all of them with it.
#
#   tests/engines/ceph.sh FOLDER      runs until it is ended; then everything is gone but FOLDER
#
# Once it serves, FOLDER/environment has TRUNKLINE_CEPH: http://ACCESS_KEY:SECRET_KEY@HOST:PORT. What went wrong is in
# FOLDER/*.log. It takes a quarter of a minute, and half a GiB of memory.
set -euo pipefail
packages="ceph-mon ceph-osd radosgw ceph-common"
say() { echo "ceph: $*" >&2; }
if [ -z "${CEPH_FOLDER:-}" ]; then # from outside: once more, in namespaces of its own
    [ "$(id -u)" = 0 ] || { say "only root can start one"; exit 1; }
    PATH=$PATH:/usr/sbin:/sbin
    for program in ceph ceph-authtool monmaptool ceph-mon ceph-osd radosgw radosgw-admin unshare python3; do
        command -v "$program" >/dev/null || { say "no $program here; packages that bring it: $packages"; exit 1; }
    done
    mkdir -p "$1"
    CEPH_FOLDER=$(realpath "$1")
    export CEPH_FOLDER PATH
    exec unshare --pid --mount --fork --kill-child --mount-proc "$0"
fi

cd "$CEPH_FOLDER"
rm -rf environment monitor store asks
mkdir -p monitor store asks
read -r gateway monitor < <(python3 -c 'if True:
    import socket
    def free(port): # below those that the kernel gives to whoever asks for any
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True
    print(*[port for port in range(10_100, 11_000) if free(port)][:2])')
cluster=$(cat /proc/sys/kernel/random/uuid)
cat >ceph.conf <<END
[global]
fsid = $cluster
keyring = $PWD/keyring
admin socket = $PWD/asks/\$name.\$pid
pid file = $PWD/asks/\$name.pid
crash dir = $PWD/asks
log file = $PWD/\$name.log
# One of each: nothing is kept twice, and nobody else can reach it. Without keys only the first protocol connects.
mon host = v1:127.0.0.1:$monitor
public addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
[mon]
mon data = $PWD/monitor
[osd]
osd data = $PWD/store
osd objectstore = memstore
memstore device bytes = 4294967296
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:$gateway tcp_nodelay=1
END
export CEPH_CONF=$PWD/ceph.conf CEPH_ARGS="--conf $PWD/ceph.conf"
serve() { # serve PROGRAM ARGUMENT...: in the foreground of a process of its own
    "$@" -f </dev/null >>"$1.out.log" 2>&1 &
}
await() { # await SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until timeout 20 "$@" >/dev/null 2>>await.log; do
        [ "$SECONDS" -lt "$end" ] || { say "not in time: $*"; tail -n 3 ./*.log >&2; exit 1; }
        sleep 0.1
    done
}

ceph-authtool --create-keyring keyring --gen-key -n mon. --cap mon 'allow *' >/dev/null
ceph-authtool keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
monmaptool --create --addv one "[v1:127.0.0.1:$monitor]" --fsid "$cluster" map >/dev/null
ceph-mon --mkfs -i one --monmap map --keyring keyring
serve ceph-mon -i one
await 60 ceph status
store=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$store" >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$store" 2>>await.log
serve ceph-osd -i 0
await 60 bash -c "ceph osd stat | grep -q '1 up'"
serve radosgw -n client.admin
await 60 bash -c "exec 3<>/dev/tcp/127.0.0.1/$gateway"
radosgw-admin user create --uid tests --display-name tests --access-key trunkline --secret-key not-a-secret >user.log 2>&1
echo "export TRUNKLINE_CEPH=http://trunkline:not-a-secret@127.0.0.1:$gateway" >environment.new
mv environment.new environment
say "ready"
wait
