#!/usr/bin/env bash
# Convert, uptrain, evaluate: the whole road on the demo checkpoint. usage: run.sh [REGROUP [FOLDER]]
set -euo pipefail
demo=$(cd "$(dirname "$0")" && pwd)
regroup=$(realpath "${1:-$demo/../build/release/regroup}")
folder=${2:-$demo/../build/demo}
mkdir -p "$folder"
cd "$folder"

"$demo/text.sh" train > train.txt
"$demo/text.sh" heldout > heldout.txt

echo "== convert: 8 key/value heads become 2, by their mean"
"$regroup" convert "$demo/kjv-mha" gqa2-mean --kv-heads 2 --method mean --overwrite

echo "== uptrain: 5% of the pre-training tokens"
"$regroup" uptrain gqa2-mean --data train.txt --fraction 0.05 --out gqa2-uptrained --overwrite

echo "== eval: all three on the held-out verses"
"$regroup" eval "$demo/kjv-mha" gqa2-mean gqa2-uptrained --data heldout.txt \
  --report report.html --json report.json --markdown report.md --overwrite
echo "report: $(realpath report.html)"
