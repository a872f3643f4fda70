#!/usr/bin/env python3
"""Writes tests/goldens/families: a tiny checkpoint of every family and variation, its logits by HF transformers, and those of its conversions
by the mean to every smaller number of key/value heads that a class of HF's holds.

    cmake --build --preset release --target regroup
    .venv/bin/pip install transformers==5.23.0 safetensors
    .venv/bin/python tests/oracle/family_goldens.py [--build build/release]
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile
import zlib

from safetensors.torch import save_file

import hf_families

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "tests/goldens/families"


def converted(program, source, ids_BT):
    described = json.loads(subprocess.run([program, "inspect", source, "--json"], check=True, capture_output=True, text=True).stdout)
    logits = {}
    with tempfile.TemporaryDirectory() as scratch:
        for row in described["cache"]["reachable"][1:]:
            if "HF transformers" not in row["loaded_by"]:
                continue
            kv_heads = row["kv_heads"]
            out = pathlib.Path(scratch) / str(kv_heads)
            subprocess.run([program, "convert", source, out, "--kv-heads", str(kv_heads), "--method", "mean", "--quiet"], check=True,
                           stdout=subprocess.DEVNULL)
            logits[f"mean_{kv_heads}"] = hf_families.logits(out, ids_BT)
    return logits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    for family, variation in hf_families.variations():
        number = zlib.crc32(f"{family}-{variation}".encode())
        directory = GOLDENS / f"{family}-{variation}"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        hf_families.write_checkpoint(directory, family, variation, seed=number)
        ids_BT = hf_families.ids(number)
        expected = {"ids": ids_BT, "logits_fp32": hf_families.logits(directory, ids_BT)}
        save_file(expected | converted(options.build / "regroup", directory, ids_BT), directory / "expected.safetensors")
        print(directory.name, flush=True)
