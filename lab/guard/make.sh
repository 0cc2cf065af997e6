#!/bin/sh
# From the data to the folder of a guard, and what it is worth: both stages of training, the scores of what fold 1 leaves out, tables, export.
# About two hours on two cores; --quick takes a tenth of the steps. What has been made is kept: run it again after an interruption.
#
# usage: lab/guard/make.sh [--quick] [FOLDER]        FOLDER: build/guard/made by default
set -eu
cd "$(dirname "$0")/../.."
quick=''
name=made
if [ "${1:-}" = --help ]; then
  sed -n '2,5s/^# \{0,1\}//p' "$0"
  exit
fi
if [ "${1:-}" = --quick ]; then
  quick=--quick
  name=made-quick
  shift
fi
folder=${1:-build/guard/$name}
python=build/golden/bin/python
scores=build/guard/scores

run() {
  echo "== $*" >&2
  "$python" "$@"
}

[ -e "build/guard/reading-$name.pt" ] ||
  run lab/guard/train.py --fold 1 --stage reading --lr 2e-4 --steps 650 --seed 3 --name "reading-$name" $quick
[ -e "build/guard/$name.pt" ] ||
  run lab/guard/train.py --fold 1 --init "build/guard/reading-$name.pt" --steps 2050 --seed 3 --name "$name" $quick
[ -e "$scores/$name.jsonl.gz" ] || run lab/guard/evaluate.py --fold 1 --run "build/guard/$name.pt" --name "$name" --out "$scores"
run lab/guard/tables.py "$scores/$name.jsonl.gz"
run lab/guard/export.py --run "build/guard/$name.pt" --scores "$scores/$name.jsonl.gz" --out "$folder"
echo "$folder: gabion monitor --guard-model $folder"
