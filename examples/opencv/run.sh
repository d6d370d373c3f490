#!/usr/bin/env bash
# The example as plain commands, the way a person would type them. It talks to the pachd that your pachctl is set up
# for; start one with `pachd` in another terminal.
set -euo pipefail
cd "$(dirname "$0")"

python3 photographs.py photographs

# An image is a folder of code, a Python and its packages. No Docker needed.
pachctl create image opencv:1.0 image --python 3 --requirements requirements.txt

# A repo, and four photographs in one commit.
pachctl create repo images
pachctl put file images@master \
    -f photographs/first/astronaut.png -f photographs/first/chelsea.png \
    -f photographs/first/coffee.png -f photographs/first/rocket.jpg

# Two pipelines: every photograph becomes a drawing; photographs and drawings become one sheet.
pachctl create pipeline -f edges.json
pachctl create pipeline -f montage.json
pachctl wait commit montage@master
pachctl list file edges@master
pachctl get file montage@master:/montage.png -o montage-first.png

# Two more photographs. Only these are drawn; the four drawings made before are carried over.
pachctl put file images@master -f photographs/second/camera.png -f photographs/second/coins.png
pachctl wait commit montage@master
pachctl list job -p edges
pachctl draw pipeline
pachctl get file montage@master:/montage.png -o montage.png
echo "The sheet lies in $PWD/montage.png"
