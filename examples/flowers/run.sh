#!/usr/bin/env bash
# Tries settings of a model in every pair, keeps the best, and names unknown flowers with it.
# It talks to the pachd that your pachctl is set up for.
set -euo pipefail
cd "$(dirname "$0")"

python3 measure.py data
pachctl create image flowers:1.0 code

# Three repos and their first commits in one transaction: one id names all of it.
pachctl start transaction
pachctl create repo flowers
pachctl create repo settings
pachctl create repo unknown
pachctl start commit flowers@master
pachctl start commit settings@master
pachctl start commit unknown@master
pachctl finish transaction

pachctl put file flowers@master -f data/flowers.csv
echo 1 | pachctl put file settings@master:/neighbours/one
echo 9 | pachctl put file settings@master:/neighbours/nine
echo 1 | pachctl put file settings@master:/weight/same
echo 0.01 | pachctl put file settings@master:/weight/little
pachctl put file unknown@master -f data/first.csv
pachctl finish commit flowers@master
pachctl finish commit settings@master
pachctl finish commit unknown@master

# Five pipelines in one file.
pachctl create pipeline -f pipelines.json
pachctl wait commit infer@master
pachctl list file model@master
pachctl logs -p select
pachctl get file infer@master:/first

# One more flower: nothing is learned again.
pachctl put file unknown@master -f data/second.csv
pachctl wait commit infer@master
pachctl list job -p infer
pachctl get file infer@master:/second
