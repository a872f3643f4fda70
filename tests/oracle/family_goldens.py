#!/usr/bin/env python3
"""Writes tests/goldens/families: a tiny checkpoint of every family and variation, its logits by HF transformers, and those of its conversions
by the mean to every smaller number of key/value heads that a class of HF's holds. Only those that are not there yet, or those that are named:
what is committed stays as it is.

    cmake --build --preset release --target regroup
    .venv/bin/pip install transformers safetensors
    .venv/bin/python tests/oracle/family_goldens.py [FAMILY-VARIATION ...] [--build build/release]
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


def write(directory, family, variation, program):
    number = zlib.crc32(directory.name.encode())
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    hf_families.write_checkpoint(directory, family, variation, seed=number)
    ids_BT = hf_families.ids(number)
    expected = {"ids": ids_BT, "logits_fp32": hf_families.logits(directory, ids_BT)}
    save_file(expected | converted(program, directory, ids_BT), directory / "expected.safetensors")
    print(directory.name, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="FAMILY-VARIATION", help="write these anew")
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    directories = {GOLDENS / f"{family}-{variation}": (family, variation) for family, variation in hf_families.variations()}
    if unknown := set(options.names) - {directory.name for directory in directories}:
        parser.error(f"no such variation: {', '.join(sorted(unknown))}")
    for directory, (family, variation) in directories.items():
        if directory.name in options.names or not options.names and not (directory / "expected.safetensors").exists():
            write(directory, family, variation, options.build / "regroup")
