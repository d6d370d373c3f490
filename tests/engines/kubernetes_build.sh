#!/usr/bin/env bash
# The server programs of Kubernetes 1.20, built from Debian's source package, which carries all that it needs: about
# eight minutes on two cores, and 4 GB of disk meanwhile. What has been built stays and is not built again.
#
#   tests/engines/kubernetes_build.sh              builds what is missing; as root, with apt
#   tests/engines/kubernetes_build.sh --missing    says which programs are missing; nothing, if none is
#
# K8S_BIN: where they lie (~/.cache/k8s-1.20/bin). Needs the packages golang-go, dpkg-dev and
# golang-github-modern-go-reflect2-dev; nothing of the system's own settings of apt is changed.
set -euo pipefail
bin=${K8S_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/k8s-1.20/bin}
programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
missing=()
for program in "${programs[@]}"; do [ -x "$bin/$program" ] || missing+=("$program"); done
if [ "${1:-}" = --missing ]; then
    echo "${missing[*]}"
    exit
fi
[ ${#missing[@]} -gt 0 ] || exit 0

mkdir -p "$bin"
exec 9>"$bin/.lock"
flock 9 # who else builds here has built it by then
work=$(mktemp -d "${TMPDIR:-/var/tmp}/trunkline-kubernetes-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

fetch() { # the source package into $work/source, by an apt of our own that knows only that
    rm -rf "$work/apt" "$work/source" "$work"/kubernetes_*
    mkdir -p "$work"/apt/{sources,lists/partial,archives/partial}
    local archive
    archive=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "Debian" && !found {found = 1; print $3}')
    if [ -z "$archive" ]; then
        echo "No archive of Debian is known to apt here: Kubernetes is built from its source package." >&2
        return 1
    fi
    cat >"$work/apt/sources/debian.sources" <<END
Types: deb-src
URIs: $archive
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    local own=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/apt/sources"
        -o "Dir::State::Lists=$work/apt/lists" -o "Dir::Cache::Archives=$work/apt/archives"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root
        -o Acquire::Retries=3 -o Acquire::http::Timeout=60)
    # Each step by its own `||`: where the caller asks whether this went well, `set -e` is off.
    apt-get "${own[@]}" update -qq >/dev/null || return 1
    (cd "$work" && apt-get "${own[@]}" source -qq --download-only kubernetes >/dev/null) || return 1
    (cd "$work" && dpkg-source --no-check -x kubernetes_1.20*.dsc source >/dev/null)
}
for attempt in 1 2 3; do
    fetch && break
    [ "$attempt" != 3 ] || { echo "The source package of Kubernetes cannot be fetched by apt." >&2; exit 1; }
    sleep $((attempt * 10))
done

cd "$work/source"
# Its own copy of reflect2 reads maps as Go laid them out before 1.18. Built by Debian's Go, the API server then dies at
# random, so Debian's newer copy takes its place.
rm -rf vendor/github.com/modern-go/reflect2
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2
# As its makers built it: with modules on, this Go refuses the folder vendor/.
export GOPATH=$work/source/.go GO111MODULE=off CGO_ENABLED=0 GOPROXY=off GOFLAGS= GOTOOLCHAIN=local
export GOCACHE=${GOCACHE:-$work/cache}
mkdir -p .go/src/k8s.io
ln -s ../../.. .go/src/k8s.io/kubernetes
cd .go/src/k8s.io/kubernetes

# The package leaves out one file that is made from the others: the description of the interface.
generator=$work/openapi-gen
nice -n 19 go build -o "$generator" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
described=$(grep -rl --include='*.go' '^// *+k8s:openapi-gen=' vendor/k8s.io/*/ pkg cmd plugin |
    grep -vE '_test\.go$|/testdata/|^vendor/k8s.io/(code-generator|sample-apiserver)/' | xargs -n 1 dirname |
    LC_ALL=C sort -u | sed 's,^,k8s.io/kubernetes/,' | paste -sd ,)
nice -n 19 "$generator" --logtostderr --input-dirs "$described" --output-file-base zz_generated.openapi \
    --output-package k8s.io/kubernetes/pkg/generated/openapi --report-filename "$work/violations" \
    --go-header-file vendor/k8s.io/code-generator/hack/boilerplate.go.txt

version=$(sed -n '1s/.*really\(1\.20\.[0-9]*\)-.*/\1/p' debian/changelog)
flags="-s -w"
for package in component-base client-go/pkg; do # clients read it, and take what it lacks for an ancient cluster
    package=k8s.io/kubernetes/vendor/k8s.io/$package/version
    flags+=" -X $package.gitVersion=v${version:-1.20.2} -X $package.gitMajor=1 -X $package.gitMinor=20"
    flags+=" -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
done
for program in "${missing[@]}"; do
    [ ! -x "$bin/$program" ] || continue
    nice -n 19 go build -trimpath -ldflags "$flags" -o "$work/$program" "k8s.io/kubernetes/cmd/$program"
    cp "$work/$program" "$bin/.$program.new"
    mv "$bin/.$program.new" "$bin/$program"
    echo "Built $program."
done
