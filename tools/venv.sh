#!/usr/bin/env bash
# Make a virtual environment with the pinned versions of constraints.txt, or find it made already.
#
#   tools/venv.sh VENV server|dev        VENV: the folder; dev holds server and the tools for tests
#
# Checks first what the machine must bring, and prints the line to type for what is missing. Never uses sudo.
# PYTHON=... picks an interpreter; else the first Python of 3.11 or newer is used.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
kind=$2

say() { printf '%s\n' "$*" >&2; }

fail_with() { # fail_with WHAT LINE
    say "$1"
    say "Type this as root (on Debian 12 or newer, Ubuntu 24.04 or newer), then run make again:"
    say ""
    say "    $2"
    exit 1
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
}

stamp_text() { # what has to be the same for an environment to serve again
    printf '%s\n' "$PWD/$venv" "$("$venv/bin/python" -c 'import sys; print(sys.version)')" "$1"
    cat constraints.txt pyproject.toml
}

stamped() { [ -f "$venv/.made-$1" ] && [ "$(stamp_text "$1" 2>/dev/null | cksum)" = "$(cat "$venv/.made-$1")" ]; }

install() { # pip, three times: registries have bad moments
    local attempt
    for attempt in 1 2 3; do
        "$venv/bin/python" -m pip install --disable-pip-version-check -qq --constraint constraints.txt "$@" && return
        [ "$attempt" = 3 ] || { say "That did not work; trying again in $((attempt * 5)) s."; sleep $((attempt * 5)); }
    done
    say "pip could not install the packages named in constraints.txt: is this machine online? (pip's words are above.)"
    exit 1
}

case $kind in server | dev) ;; *) say "usage: tools/venv.sh VENV server|dev"; exit 2 ;; esac

if ! stamped "$kind"; then
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || say "Trunkline's server is made for Linux on x86-64; this is $(uname -sm). Trying all the same."
    python=$(find_python)
    [ -n "$python" ] || fail_with "Python 3.11 or newer is missing." "apt install python3 python3-venv"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail_with "$python cannot make virtual environments." "apt install python3-venv"
    if [ -e "$venv" ] && { [ ! -f "$venv/pyvenv.cfg" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
        say "$venv is no virtual environment that works; it is made anew."
        [ ! -f "$venv/pyvenv.cfg" ] || rm -rf "$venv"
    fi
    say "Making the virtual environment $venv (once; a minute or so on a fast line)."
    [ -f "$venv/pyvenv.cfg" ] || "$python" -m venv "$venv"
    extras=server
    [ "$kind" = server ] || extras=server,dev
    install hatchling editables
    install --no-build-isolation --editable ".[$extras]"
    stamp_text server | cksum >"$venv/.made-server"
    [ "$kind" = server ] || stamp_text dev | cksum >"$venv/.made-dev"
fi
# Compiled here, since with PYTHONDONTWRITEBYTECODE set nobody else would, and each start would pay for it.
"$venv/bin/python" -m compileall -q src
