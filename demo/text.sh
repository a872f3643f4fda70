#!/usr/bin/env bash
# The demo's text: the King James Bible, one verse a line. usage: text.sh train|heldout
set -euo pipefail
case "${1:-}" in
  train) keep='!=' ;;
  heldout) keep='==' ;;
  *) echo "usage: text.sh train|heldout" >&2; exit 2 ;;
esac
if ! command -v bible >/dev/null; then
  echo "text.sh: the text comes from Debian's bible-kjv: sudo apt-get install bible-kjv" >&2
  exit 2
fi
bible -f gen1:1-rev22:21 | sed 's/^[^ ]* //' | awk "int((NR - 1) / 100) % 10 $keep 9"
