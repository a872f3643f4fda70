#!/usr/bin/env bash
# Runs what the documentation shows: every ```sh block of README.md and docs/, file by file, in a scratch folder that holds
# what their readers have: `regroup` on the path, `demo/`, and the demo's text as train.txt and heldout.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
for page in README.md docs/*.md; do
  blocks=$(awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$page")
  [[ -n "$blocks" ]] || continue
  echo "== $page"
  folder=$(mktemp -d)
  cp -r demo configs "$folder"
  demo/text.sh train > "$folder/train.txt"
  demo/text.sh heldout > "$folder/heldout.txt"
  (cd "$folder" && PATH="$root/build/release:$PATH" bash -euo pipefail -c "$blocks") || {
    echo "check_docs: a command of $page failed" >&2
    exit 1
  }
  rm -rf "$folder"
done
