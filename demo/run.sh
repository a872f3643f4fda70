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

echo "== convert: 8 key/value heads become 2, by their mean, as the paper does it"
"$regroup" convert "$demo/kjv-mha" gqa2-mean --kv-heads 2 --method mean --overwrite
echo "== convert: the same by regroup's default, with the training text to look at"
"$regroup" convert "$demo/kjv-mha" gqa2 --kv-heads 2 --calibration train.txt --overwrite

echo "== uptrain the mean: 5% of the pre-training tokens"
"$regroup" uptrain gqa2-mean --data train.txt --fraction 0.05 --out gqa2-mean-uptrained --overwrite

echo "== eval: all on the held-out verses"
"$regroup" eval "$demo/kjv-mha" gqa2-mean gqa2-mean-uptrained gqa2 --data heldout.txt \
  --report report.html --json report.json --markdown report.md --overwrite
echo "report: $(realpath report.html)"
