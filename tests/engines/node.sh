#!/usr/bin/env bash
# The first process of a node, in the namespaces that cluster.sh makes for it: mounts, network, programs.
set -uo pipefail
mount --make-rshared /
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/containerd /run/lock /run/etcd /run/kept /var/lib/kubelet /var/log
mount --bind "$folder/log" /var/log
mkdir -p /var/log/pods /var/log/containers
mount -t tmpfs kubelet /var/lib/kubelet
mount --make-rshared /var/lib/kubelet
# The kubelet would set these for the whole machine: it finds them as it wants them, and writes to nothing.
for told in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    [ -e "/proc/sys/${told%=*}" ] || continue
    echo "${told#*=}" >"/run/kept/${told//[\/=]/-}"
    mount --bind "/run/kept/${told//[\/=]/-}" "/proc/sys/${told%=*}"
done

ip link set lo up
for _ in $(seq 200); do
    ! ip link show eth0 >/dev/null 2>&1 || break
    sleep 0.05
done
ip addr add "$node/24" dev eth0
ip link set eth0 up
ip route add "$services" dev eth0 # the node itself reaches services only where a route is known
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
ulimit -n "$(ulimit -Hn)"

keep() { # keep NAME COMMAND...: run it, again when it ends
    local name=$1
    shift
    (
        while :; do
            "$@" >>"$folder/log/$name.log" 2>&1
            echo "$name ended with $?" >>"$folder/log/$name.log"
            sleep 1
        done
    ) &
}
keep etcd etcd --data-dir /run/etcd --quota-backend-bytes 1073741824 \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
keep containerd containerd --config "$folder/settings/containerd.toml"
keep apiserver "$bin/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --advertise-address "$node" \
    --bind-address 0.0.0.0 --secure-port 6443 --service-cluster-ip-range "$services" --cert-dir "$folder/keys/made" \
    --tls-cert-file "$folder/keys/api.crt" --tls-private-key-file "$folder/keys/api.key" \
    --client-ca-file "$folder/keys/authority.crt" --token-auth-file "$folder/keys/tokens.csv" \
    --authorization-mode Node,RBAC --allow-privileged=true --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-signing-key-file "$folder/keys/accounts.key" \
    --service-account-key-file "$folder/keys/accounts.key"

for _ in $(seq 400); do
    ! ctr version >/dev/null 2>&1 || break
    sleep 0.05
done
for image in "$folder"/images/*.tar; do
    ctr -n k8s.io images import "$image" >>"$folder/log/images.log" 2>&1 || echo "$image cannot be loaded"
done
touch "$folder/images/loaded"
keep kubelet "$bin/kubelet" --kubeconfig "$folder/keys/kubelet" --config "$folder/settings/kubelet" \
    --container-runtime remote --container-runtime-endpoint unix:///run/containerd/containerd.sock \
    --node-ip "$node" --hostname-override node1 --root-dir /var/lib/kubelet --cert-dir "$folder/keys/made"
for _ in $(seq 600); do
    ! curl -sk -o /dev/null https://127.0.0.1:6443/livez || break
    sleep 0.1
done
# Those left out do nothing here, and one of them keeps all others waiting.
keep controllers "$bin/kube-controller-manager" --kubeconfig "$folder/kubeconfig" --leader-elect=false --port 0 \
    --bind-address 127.0.0.1 --cert-dir "$folder/keys/made" --kube-api-qps 500 --kube-api-burst 1000 \
    --service-account-private-key-file "$folder/keys/accounts.key" --root-ca-file "$folder/keys/authority.crt" \
    --controllers '*,-nodeipam,-cloud-node-lifecycle,-route,-ttl,-csrsigning,-csrapproving,-csrcleaner'
keep scheduler "$bin/kube-scheduler" --kubeconfig "$folder/keys/scheduler" --leader-elect=false --port 0 \
    --bind-address 127.0.0.1 --cert-dir "$folder/keys/made"
keep proxy "$bin/kube-proxy" --config "$folder/settings/proxy"
while :; do
    wait
    sleep 1
done
