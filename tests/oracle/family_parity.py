#!/usr/bin/env python3
"""Compares us with a live HF transformers over every family: random checkpoints of random shapes in all variations of hf_families.py,
our logits of the source, then conversions to every smaller number of key/value heads, loaded back by HF where a class of HF's holds
them (moved ones among them) and compared with our logits of the same files. Prints a line each; exit code 1 beyond 1e-4.

    cmake --build --preset release --target logits regroup
    .venv/bin/pip install transformers==5.23.0 safetensors
    .venv/bin/python tests/oracle/family_parity.py [--count 1] [--seed 0] [--families gpt2 ...] [--build build/release]
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import zlib

from safetensors.torch import load_file, save_file

import hf_families

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ours(build, checkpoint, ids_BT, scratch):
    given, out = scratch / "ids.safetensors", scratch / "ours.safetensors"
    out.unlink(missing_ok=True)
    save_file({"ids": ids_BT}, given)
    subprocess.run([build / "tests/logits", checkpoint, given, out], check=True)
    return load_file(out)["logits_fp32"]


def compare(build, name, checkpoint, ids_BT, scratch):
    golden, found = hf_families.logits(checkpoint, ids_BT), ours(build, checkpoint, ids_BT, scratch)
    distance = (golden - found).abs().max().item()
    good = distance <= 1e-4
    print(f"{'ok ' if good else 'BAD'} {distance:.1e} of {golden.std():.2g}  {name}", flush=True)
    return good


def sweep(build, family, variation, seed):
    results = []
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        source = scratch / "source"
        hf_families.write_checkpoint(source, family, variation, seed)
        ids_BT = hf_families.ids(seed)
        results.append(compare(build, f"{family}-{variation}", source, ids_BT, scratch))
        described = json.loads(subprocess.run([build / "regroup", "inspect", source, "--json"], check=True, capture_output=True,
                                              text=True).stdout)
        for row in described["cache"]["reachable"][1:]:
            if "HF transformers" not in row["loaded_by"]:
                continue
            out = scratch / f"kv{row['kv_heads']}"
            subprocess.run([build / "regroup", "convert", source, out, "--kv-heads", str(row["kv_heads"]), "--dtype", "fp32", "--quiet"],
                           check=True, stdout=subprocess.DEVNULL)
            results.append(compare(build, f"{family}-{variation} with {row['kv_heads']} as {row['architecture']}", out, ids_BT, scratch))
        results += moved(build, f"{family}-{variation}", source, described["heads"], described["kv_heads"], ids_BT, scratch)
    return results


def moved(build, name, source, heads, kv_heads, ids_BT, scratch):
    """HF's logits of the source beside HF's logits of it as another architecture, with as many key/value heads: in units of their spread."""
    results = []
    for target in ("phi", "starcoder2") if heads == kv_heads else ():
        out = scratch / target
        done = subprocess.run([build / "regroup", "convert", source, out, "--kv-heads", str(kv_heads), "--target", target, "--dtype",
                               "fp32", "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0 or name.startswith((target + "-", "starcoder2-")):
            continue
        before, after = hf_families.logits(source, ids_BT), hf_families.logits(out, ids_BT)
        distance = ((before - after).abs().max() / before.std()).item()
        results.append(distance <= 1e-5)
        print(f"{'ok ' if results[-1] else 'BAD'} {distance:.1e} of the spread  {name} moved to {target}", flush=True)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", nargs="+", choices=list(hf_families.FAMILIES))
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    start, results = time.time(), []
    for seed in range(options.seed, options.seed + options.count):
        for family, variation in hf_families.variations():
            if not options.families or family in options.families:
                results += sweep(options.build, family, variation, seed + zlib.crc32(f"{family}{variation}".encode()) % 10**6)
    print(f"{sum(results)} of {len(results)} within bounds, {time.time() - start:.0f} s")
    sys.exit(0 if all(results) else 1)
