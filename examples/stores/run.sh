#!/usr/bin/env bash
# Joins and groups: files of several repos that belong together meet in one datum.
# It talks to the pachd that your pachctl is set up for.
set -euo pipefail
cd "$(dirname "$0")"

# Three repos of small files, whose names say which store they belong to.
pachctl create repo stores
pachctl create repo purchases
pachctl create repo returns
pachctl put file stores@master:/ -r -f data/stores
pachctl put file purchases@master:/ -r -f data/purchases
pachctl put file returns@master:/ -r -f data/returns

# What would be a datum? Nothing runs for this.
pachctl list datum -f inner.json
pachctl list datum -f outer.json

pachctl create pipeline -f inner.json
pachctl create pipeline -f outer.json
pachctl create pipeline --jsonnet revenue.jsonnet --arg name=revenue --arg minus=returns
pachctl wait commit sales@master
pachctl wait commit returned@master
pachctl wait commit revenue-all@master

pachctl get file sales@master:/order-c_store-2.txt
pachctl get file -r returned@master:/ -o returned
head returned/*
pachctl get file revenue-all@master:/all
