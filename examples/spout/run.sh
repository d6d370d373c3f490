#!/usr/bin/env bash
# A spout: code that makes commits of its own, and two pipelines behind it.
# It talks to the pachd that your pachctl is set up for.
set -euo pipefail
cd "$(dirname "$0")"

pachctl create pipeline -f spout.yaml

# The spout commits three files, then rests.
until pachctl list file spout@master 2>/dev/null | grep -q /3; do sleep 0.2; done
pachctl wait commit reducer@master
pachctl list pipeline
pachctl list file spout@master
pachctl get file reducer@master:/total
pachctl stop pipeline spout
