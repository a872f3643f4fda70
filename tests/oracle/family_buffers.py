#!/usr/bin/env python3
"""Sees that we read what HF transformers does: files with the buffers that a class of HF's leaves unread
(_keys_to_ignore_on_load_unexpected), in every layer, for every family. A line each; exit code 1 where one is refused. In a minute.

    cmake --build --preset release --target regroup
    .venv/bin/python tests/oracle/family_buffers.py [--build build/release]
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

import hf_families

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Of models with an encoder, which are refused (add_cross_attention).
OTHER_MODELS = {"crossattention.bias"}


def names_of(ignored, names):
    """"h.0.attn.bias" of "attn.bias", where "h.0.attn." begins a name."""
    module, _, buffer = ignored.rpartition(".")
    places = {name[:name.index(f".{module}.") + len(module) + 2] for name in names if f".{module}." in name}
    return [place + buffer for place in places]


def reads(program, family, ignored):
    cls, settings, hub = hf_families.config_of(family, next(iter(hf_families.FAMILIES[family][2])))
    with tempfile.TemporaryDirectory() as directory:
        hf_families.write_checkpoint(directory, family, None, 0, cls, settings, hub)
        file = pathlib.Path(directory) / "model.safetensors"
        tensors = load_file(file)
        added = {name: torch.zeros(1, 1, 32, 32) for name in names_of(ignored, tensors)}
        assert added, f"{family}: no layer has a place for {ignored}"
        save_file(tensors | added, file, {"format": "pt"})
        done = subprocess.run([program, "inspect", directory, "--json"], capture_output=True, text=True)
    print(f"{'ok ' if done.returncode == 0 else 'BAD'} {family}: {', '.join(sorted(added))}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    good = True
    for family, (name, _, _) in hf_families.FAMILIES.items():
        ignored = getattr(hf_families.transformers, name)._keys_to_ignore_on_load_unexpected or []
        good &= all([reads(options.build / "regroup", family, key) for key in ignored if key not in OTHER_MODELS])
    sys.exit(not good)
