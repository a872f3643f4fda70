#!/usr/bin/env bash
# Fails, naming the files, unless every C++ file is as clang-format leaves it and every script parses.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.h' '*.cc' | xargs clang-format --dry-run --Werror
git ls-files '*.sh' .ci/run | xargs -n 1 bash -n
