#!/usr/bin/env bash
# Prices of houses, learned anew when enough sales have come together; and output that is looked at before it is used.
# It talks to the pachd that your pachctl is set up for.
set -euo pipefail
cd "$(dirname "$0")"

python3 sales.py data
pachctl create image housing:1.0 code
pachctl create repo housing
pachctl create branch housing@master
pachctl create pipeline -f regression.yaml

# A table has some 700 bytes: one is not enough, two are.
pachctl put file housing@master -f data/north.csv
pachctl wait commit housing@master
pachctl list job -p regression
pachctl put file housing@master -f data/south.csv
pachctl wait commit housing@master
pachctl list branch housing
pachctl wait commit regression@master
pachctl list job -p regression
pachctl get file regression@master:/north.json

# A third table is again not enough by itself.
pachctl put file housing@master -f data/west.csv
pachctl list commit housing@master -n 1
pachctl inspect branch housing@regression-trigger-1

# A person decides: the branch that the pipeline reads is moved by hand, at once.
pachctl create branch housing@regression-trigger-1 --head master
pachctl wait commit regression@master
pachctl get file regression@master:/west.json
