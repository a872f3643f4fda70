#!/usr/bin/env bash
# Sets up, builds, and runs the main job on the embedded demo: a multi-head checkpoint becomes a grouped-query one, is
# uptrained on 5% of its pre-training tokens, and is compared with what it was.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh release regroup
demo/run.sh
