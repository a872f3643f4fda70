#!/usr/bin/env bash
# What a machine needs: Debian/Ubuntu packages, and the PyTorch wheel (it carries LibTorch) in .venv.
# Does nothing that is already done, and then needs no network. A CMAKE_PREFIX_PATH that leads to a LibTorch of your own
# is taken instead of the wheel. usage: setup.sh [--checks]: with --checks also what only .ci/run needs (clang, and a browser for
# the tests that look at reports).
set -euo pipefail
cd "$(dirname "$0")/.."

torch_version=2.13.0
packages=(g++ cmake ninja-build ccache git pkg-config python3 python3-venv
  libcli11-dev libspdlog-dev libfmt-dev liblemon-dev libgtest-dev nlohmann-json3-dev libvalijson-dev libsentencepiece-dev libonig-dev libicu-dev libssl-dev zlib1g-dev libboost-dev bible-kjv)
[[ "${1:-}" == --checks ]] && packages+=(clang-19 libclang-rt-19-dev clang-format chromium-headless-shell)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  as_root=()
  if ((EUID != 0)); then
    if sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      echo "setup: these packages are missing: ${missing[*]}" >&2
      echo "setup: install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
      exit 2
    fi
  fi
  echo "setup: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# As cmake/FindLibTorch.cmake looks for it.
names_a_libtorch() {
  local prefixes prefix root
  IFS=':;' read -ra prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in "${prefixes[@]}"; do
    for root in "$prefix" "$prefix/../.." "$prefix/../../.."; do
      [[ -e "$root/lib/libtorch_cpu.so" ]] && return 0
    done
  done
  return 1
}

done_mark=.venv/torch-$torch_version  # the last thing written: an installation that was broken off is done again
if names_a_libtorch; then
  echo "setup: taking LibTorch from CMAKE_PREFIX_PATH"
elif [[ ! -e "$done_mark" ]]; then
  echo "setup: installing torch $torch_version into .venv"
  python3 -m venv .venv
  pip_install=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
  # typing_extensions is all that `import torch` needs besides, for the benchmarks.
  "${pip_install[@]}" --no-deps "torch==$torch_version" typing_extensions
  # A CPU wheel's libraries need nothing else; a CUDA wheel's CPU library does not load without its CUDA packages.
  if compgen -G '.venv/lib/python3*/site-packages/torch/lib/libtorch_cuda.so' >/dev/null; then
    "${pip_install[@]}" "torch==$torch_version"
  fi
  touch "$done_mark"
fi
