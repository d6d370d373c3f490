#!/usr/bin/env bash
# Prove the README's two commands in a minimal Debian that has nothing of this machine: `make demo` and `make test`, as
# root and as an ordinary user, in a path with a space in it. STEPS may also name `ci`, which runs .ci/run there.
#
#   make test-fresh          SUITE=bookworm   STEPS="root user test"   KEEP_ROOT=1 leaves the root for a look
#
# The root is made by mmdebstrap and entered with unshare and pivot_root. Of the host it sees the checkout (read-only),
# name service, certificates and pip's settings, all of them only while it runs.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" != inside ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "make test-fresh builds a root file system, so it has to run as root; try it in a throw-away machine." >&2
        exit 1
    fi
    if ! command -v mmdebstrap >/dev/null; then
        apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null || {
            echo "Type this first: apt install mmdebstrap" >&2
            exit 1
        }
    fi
    root=$(mktemp -d "${TMPDIR:-/tmp}/trunkline-fresh.XXXXXX")
    cleanup() { [ -n "${KEEP_ROOT:-}" ] && echo "the root stays in $root" || rm -rf --one-file-system "$root"; }
    trap cleanup EXIT
    chmod 755 "$root"
    echo "== a minimal ${SUITE:-bookworm} (half a minute)"
    mmdebstrap --quiet --variant=minbase "${SUITE:-bookworm}" "$root"
    # --kill-child: whatever is left inside ends with this shell, however it ends.
    unshare --mount --pid --fork --kill-child "$0" inside "$root"
    exit
fi

# From here on in namespaces of our own: mounts are seen by nobody else and go by themselves.
root=$2
mount --make-rprivate /
mount --bind "$root" "$root"
show() { # show PATH [AS]: the host's PATH, read-only
    local target=$root${2:-$1}
    if [ -d "$1" ]; then mkdir -p "$target"; else mkdir -p "$(dirname "$target")"; touch "$target"; fi
    mount --bind "$1" "$target"
    mount -o remount,bind,ro "$target"
}
show "$PWD" /mnt/checkout
show "$(readlink -f /etc/resolv.conf)" /etc/resolv.conf
show /etc/ssl/certs /mnt/certificates
[ ! -d /usr/local/share/ca-certificates ] || show /usr/local/share/ca-certificates   # the others link to these
# pip's settings as a file, whichever way the host keeps them, and the folders that they name.
if command -v pip >/dev/null; then
    { echo "[global]"; pip config list | sed -nE "s/^[^=]*\.([a-z-]+)='(.*)'$/\1 = \2/p" | sort -u -t= -k1,1; } >"$root/etc/pip.conf"
    for folder in $(grep -oE '(file://)?/[^ ]+' "$root/etc/pip.conf" | sed 's#^file://##'); do
        [ ! -d "$folder" ] || show "$folder"
        [[ $folder != */simple ]] || [ ! -d "${folder%/simple}" ] || show "${folder%/simple}"
    done
fi
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mkdir -p "$root/.host"
cd "$root"
pivot_root . .host   # not chroot: the kernel refuses user namespaces to whoever is in one
umount -l /.host
cd /
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
unset PYTHONDONTWRITEBYTECODE PYENV_ROOT PIP_CONFIG_FILE

say() { printf '\n== %s\n' "$*"; }
as() { # as USER COMMAND
    local home
    home=$(getent passwd "$1" | cut -d: -f6)
    setpriv --reuid="$1" --regid="$1" --init-groups env HOME="$home" bash -c "$2"
}

say "what make says before anything is installed"
command -v make || echo "(there is no make)"
line=$(grep -m1 -oE 'apt install [a-z0-9 -]+' /mnt/checkout/README.md)
say "$line"
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends ${line#apt install } >/tmp/apt.log || { cat /tmp/apt.log >&2; exit 1; }
mount --bind /mnt/certificates /etc/ssl/certs   # not before: ca-certificates wants to write there
useradd --create-home --shell /bin/bash reader
git config --system --add safe.directory '*'

left_running() { # command lines of what the demo should have ended; a minimal root has no pgrep
    local file
    for file in /proc/[0-9]*/cmdline; do
        { tr '\0' ' ' <"$file" | grep -E 'bin/pachd|trunkline\.' || true; } 2>/dev/null
    done
}
for step in ${STEPS-root user test}; do
    case $step in
        root) who=root; command="make demo" ;;
        user) who=reader; command="make demo" ;;
        test) who=reader; command="make test" ;;
        ci) who=root; command=".ci/run" ;;
        *) echo "no step $step; there are root, user, test and ci" >&2; exit 1 ;;
    esac
    home=$(getent passwd "$who" | cut -d: -f6)
    say "$command, as $who"
    as "$who" "cd ~ && [ -d 'a clone' ] || git clone --quiet /mnt/checkout ~/'a clone'"
    as "$who" "cd ~/'a clone' && $command" </dev/null
    if [ "$command" = "make demo" ] && [ ! -s "$home/a clone/demo-out/second/montage.png" ]; then
        echo "the demo left no montage" >&2
        exit 1
    fi
    if [ -n "$(left_running)" ]; then echo "left running:" >&2; left_running >&2; exit 1; fi
done
say "done in a fresh ${SUITE:-bookworm}: ${STEPS-root user test}"
