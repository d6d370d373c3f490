#!/usr/bin/env bash
# What a database answers to a query, fetched again and again into a repo, and from there into a table of another database.
# It talks to the pachd that your pachctl is set up for, which must run on this machine.
set -euo pipefail
cd "$(dirname "$0")"

python3 shop.py data/shop.db
pachctl create image sql-ingest:1.0 code
pachctl create pipeline --jsonnet sql-ingest.jsonnet --arg name=orders --arg cronSpec='@every 24h' \
  --arg url="sqlite:///$PWD/data/shop.db" --arg query='select * from orders order by id' --arg hasHeader=true

# Not tomorrow: now.
pachctl run cron orders_in
pachctl wait commit orders@master
pachctl get file orders@master:/0000

# Two more orders, and the next time.
python3 shop.py data/shop.db 2
pachctl run cron orders_in
pachctl wait commit orders@master
pachctl get file orders@master:/0000
