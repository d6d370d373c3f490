#!/usr/bin/env bash
# Counts words: a map over texts, a reduce over words. It talks to the pachd that your pachctl is set up for.
set -euo pipefail
cd "$(dirname "$0")"

pachctl create repo texts
pachctl put file texts@master -f texts/one.txt
pachctl create pipeline -f pipelines.yaml
pachctl wait commit reduce@master
pachctl get file reduce@master:/ship

# A second text. Only words that it holds are added up again.
pachctl put file texts@master -f texts/two.txt
pachctl wait commit reduce@master
pachctl list job -p reduce
pachctl list file map@master:/ship
pachctl get file reduce@master:/ship
