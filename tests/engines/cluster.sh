#!/usr/bin/env bash
# A Kubernetes of one node for tests, as root, in process, mount and network namespaces of its own: its end takes every
# pod, mount and rule with it, and nothing of the machine's network, mounts or settings is changed but one link and two
# routes to the node, which end with it too. The node has no way out: pods reach this machine, and nothing else.
#
#   tests/engines/cluster.sh FOLDER IMAGE.tar...
#
# has the images of these archives, among them localhost/pause:1 (archives.py makes what the tests need). It runs until
# it is ended by a signal, then takes everything away but FOLDER. Once pods can be run, FOLDER/environment has
# KUBECONFIG, TRUNKLINE_PODS_HOST (this machine's address, as pods see it) and TRUNKLINE_NODE (the node's first
# process). What went wrong is in FOLDER/*.log and FOLDER/log. K8S_BIN: as in kubernetes_build.sh.
set -euo pipefail
packages="containerd runc etcd-server containernetworking-plugins iptables conntrack iproute2 openssl curl"
folder=$(realpath -m "$1")
shift
bin=${K8S_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/k8s-1.20/bin}
here=$(cd "$(dirname "$0")" && pwd)
name=cluster-of-tests-$$
link=tl$$
PATH=$PATH:/usr/sbin:/sbin
say() { echo "cluster: $*" >&2; }

[ "$(id -u)" = 0 ] || { say "only root can start one"; exit 1; }
for program in containerd runc etcd iptables conntrack ip openssl curl; do
    command -v "$program" >/dev/null || { say "no $program here; packages that bring it: $packages"; exit 1; }
done
lacking=$("$here/kubernetes_build.sh" --missing)
[ -z "$lacking" ] || { say "not built yet: $lacking; run tests/engines/kubernetes_build.sh"; exit 1; }
mkdir -p "$folder"/{keys,settings,network,images,containerd,log}
chmod 700 "$folder"

# --- addresses: the first four networks of the range kept for tests that nothing here uses, or stands in
exec 9>/var/lock/trunkline-cluster.lock
flock 9
used=$({
    ip -4 -o addr | awk '{print $4}'
    ip -4 route | awk '{print $1; if ($2 == "via") print $3}'
    awk '$1 == "nameserver" {print $2}' /etc/resolv.conf
} | cut -d . -f 1-3)
for third in $(seq 40 4 248) none; do
    [ "$third" != none ] || { say "no free range below 198.18 and 198.19"; exit 1; }
    for range in "198.18.$third" "198.18.$((third + 1))" "198.18.$((third + 2))"; do
        ! grep -qxF "$range" <<<"$used" || continue 2
    done
    break
done
services=198.18.$third.0/24 pods=198.18.$((third + 1)).0/24
host=198.18.$((third + 2)).1 node=198.18.$((third + 2)).2 first=198.18.$third.1
export folder bin services pods node name

# --- keys and accounts
cd "$folder/keys"
openssl ecparam -name prime256v1 -genkey -noout -out authority.key
openssl req -x509 -new -key authority.key -subj /CN=tests -days 365 -addext keyUsage=critical,keyCertSign,cRLSign \
    -out authority.crt
openssl ecparam -name prime256v1 -genkey -noout -out api.key
openssl ecparam -name prime256v1 -genkey -noout -out accounts.key
openssl req -new -key api.key -subj /CN=kube-apiserver | openssl x509 -req -CA authority.crt -CAkey authority.key \
    -CAcreateserial -days 365 -out api.crt 2>api.log -extfile <(
        echo "subjectAltName=IP:$node,IP:$first,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default.svc"
        printf '%s\n' extendedKeyUsage=serverAuth basicConstraints=CA:FALSE
        printf '%s\n' authorityKeyIdentifier=keyid subjectKeyIdentifier=hash
    )
account() { # account FILE USER [GROUP]
    local token
    token=$(openssl rand -hex 16)
    echo "$token,$2,$2${3:+,\"$3\"}" >>tokens.csv
    cat >"$1" <<END
{"apiVersion": "v1", "kind": "Config", "current-context": "tests",
 "clusters": [{"name": "tests", "cluster": {"server": "https://$node:6443",
   "certificate-authority-data": "$(base64 -w 0 authority.crt)"}}],
 "users": [{"name": "tests", "user": {"token": "$token"}}],
 "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}]}
END
}
rm -f tokens.csv
account "$folder/kubeconfig" admin system:masters
account scheduler system:kube-scheduler
account proxy system:kube-proxy
account kubelet system:node:node1 system:nodes

# --- settings
cat >"$folder/settings/containerd.toml" <<END
version = 2
root = "$folder/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true   # this root may not be allowed to shield anything from the kernel
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$folder/network"
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."localhost:5000"]
    endpoint = ["http://$host:5000"]
END
cat >"$folder/network/pods.conflist" <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/addresses",
    "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
cat >"$folder/settings/kubelet" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /$name
failSwapOn: false
oomScoreAdj: 0
serializeImagePulls: false
nodeStatusUpdateFrequency: 1s
volumeStatsAggPeriod: 2s   # whoever fills a volume is evicted soon
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 0%}
END
cat >"$folder/settings/proxy" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $pods
hostnameOverride: node1
oomScoreAdj: 0
clientConnection: {kubeconfig: $folder/keys/proxy}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
iptables: {syncPeriod: 30s, minSyncPeriod: 0s}
END

# --- images
rm -f "$folder"/images/*
for image in "$@"; do ln -s "$(realpath -e "$image")" "$folder/images/"; done

# --- the node: its processes are children of one, whose end is theirs
groups=()
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then # one tree; else one for each controller
    groups=("/sys/fs/cgroup/$name")
    echo "+cpu +cpuset +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
else
    for each in /sys/fs/cgroup/*/cgroup.procs; do
        [[ $each == */unified/* ]] || groups+=("${each%/*}/$name")
    done
fi
end() {
    trap '' TERM INT HUP
    [ -z "${starter:-}" ] || kill -KILL "$starter" 2>/dev/null || true # and by it, all that is in the namespaces
    [ -z "${starter:-}" ] || wait "$starter" 2>/dev/null || true
    rm -f "$folder/environment"
    for _ in $(seq 50); do # its processes are gone a moment later
        find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null || true
        [ -n "$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$name")" ] || break
        sleep 0.2
    done
}
trap end EXIT
trap 'exit 0' TERM INT HUP
mkdir -p "${groups[@]}"
setsid unshare --net --mount --pid --fork --kill-child --mount-proc bash "$here/node.sh" \
    </dev/null >"$folder/node.log" 2>&1 9>&- &
starter=$!
inside=
for _ in $(seq 250); do
    inside=$(cat "/proc/$starter/task/$starter/children" 2>/dev/null || true)
    inside=${inside%% *}
    [ -z "$inside" ] || [ "$(readlink "/proc/$inside/ns/net")" = "$(readlink /proc/self/ns/net)" ] || break
    kill -0 "$starter" 2>/dev/null || { say "no namespaces can be made here:"; cat "$folder/node.log" >&2; exit 1; }
    sleep 0.02
done
ip link add "$link" type veth peer name eth0 netns "$inside"
ip addr add "$host/24" dev "$link"
ip link set "$link" up
ip route add "$pods" via "$node"
ip route add "$services" via "$node"
flock -u 9

# --- until pods can be run
ask() {
    curl -sf --max-time 5 --cacert "$folder/keys/authority.crt" "https://$node:6443$1" \
        -H "Authorization: Bearer $(head -c 32 "$folder/keys/tokens.csv")"
}
ready() { ask /api/v1/nodes/node1 | tr -d ' \n' | grep -q '"type":"Ready","status":"True"'; }
account_made() { ask /api/v1/namespaces/default/serviceaccounts/default | grep -q '"secrets"'; }
fail() {
    say "$1"
    tail -n 5 "$folder"/*.log "$folder"/log/*.log >&2
    exit 1
}
await() { # await WHAT COMMAND...
    local what=$1
    shift
    for _ in $(seq 900); do
        kill -0 "$starter" 2>/dev/null || fail "the node ended"
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    fail "not within 3 minutes: $what"
}
await "the API server" ask /readyz
await "its images" test -e "$folder/images/loaded"
await "its node" ready
await "the account of pods" account_made
cat >"$folder/environment.new" <<END
export KUBECONFIG=$folder/kubeconfig TRUNKLINE_PODS_HOST=$host TRUNKLINE_NODE=$inside
END
mv "$folder/environment.new" "$folder/environment"
say "ready"
wait "$starter" || true
fail "the node ended"
