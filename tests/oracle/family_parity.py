#!/usr/bin/env python3
"""Compares us with a live HF transformers over every family: random checkpoints of random sizes in all variations of hf_families.py,
our logits of the source, then conversions to every smaller number of key/value heads, loaded back by HF where a class of HF's holds
them (moved ones among them) and compared with our logits of the same files. Prints a line each; exit code 1 beyond 1e-4. --page writes
what was measured as a page of Markdown.

    cmake --build --preset release --target logits regroup
    .venv/bin/pip install transformers safetensors
    .venv/bin/python tests/oracle/family_parity.py [--count 1] [--seed 0] [--families gpt2 ...] [--build build/release] [--page docs/parity.md]
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import zlib

# Models this small have no work for two threads, here and in ours.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import torch
import transformers

from safetensors.torch import load_file, save_file

import hf_families

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOUND, MOVED_BOUND = 1e-4, 1e-5

# What was compared: "source", "converted" (its family's own architecture), "moved" (another one), "same function" (HF's logits of the
# moved checkpoint and of its source, in units of their spread).
Result = collections.namedtuple("Result", "family kind distance good")


def ours(build, checkpoint, ids_BT, scratch):
    given, out = scratch / "ids.safetensors", scratch / "ours.safetensors"
    out.unlink(missing_ok=True)
    save_file({"ids": ids_BT}, given)
    subprocess.run([build / "tests/logits", checkpoint, given, out], check=True)
    return load_file(out)["logits_fp32"]


def compare(build, family, kind, name, checkpoint, ids_BT, scratch):
    golden, found = hf_families.logits(checkpoint, ids_BT), ours(build, checkpoint, ids_BT, scratch)
    distance = (golden - found).abs().max().item()
    good = distance <= BOUND
    print(f"{'ok ' if good else 'BAD'} {distance:.1e} of {golden.std():.2g}  {name}", flush=True)
    return Result(family, kind, distance, good)


def sweep(build, family, variation, seed):
    results, rng = [], random.Random(seed)
    cls, settings, hub = hf_families.config_of(family, variation)
    settings = hf_families.drawn(rng, family, settings)
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        source = scratch / "source"
        hf_families.write_checkpoint(source, family, variation, seed, cls, settings, hub)
        ids_BT = hf_families.ids(seed, count=rng.choice((6, 12, 17, 31)), vocabulary=settings["vocab_size"])
        results.append(compare(build, family, "source", f"{family}-{variation}", source, ids_BT, scratch))
        described = json.loads(subprocess.run([build / "regroup", "inspect", source, "--json"], check=True, capture_output=True,
                                              text=True).stdout)
        for row in described["cache"]["reachable"][1:]:
            if "HF transformers" not in row["loaded_by"]:
                continue
            out = scratch / f"kv{row['kv_heads']}"
            subprocess.run([build / "regroup", "convert", source, out, "--kv-heads", str(row["kv_heads"]), "--weights-only", "--dtype", "fp32",
                            "--quiet"],
                           check=True, stdout=subprocess.DEVNULL)
            kind = "converted" if row["architecture"] == hf_families.FAMILIES[family][0] else "moved"
            results.append(compare(build, family, kind, f"{family}-{variation} with {row['kv_heads']} as {row['architecture']}", out, ids_BT,
                                   scratch))
        results += moved(build, family, f"{family}-{variation}", source, described["heads"], described["kv_heads"], ids_BT, scratch)
    return results


def moved(build, family, name, source, heads, kv_heads, ids_BT, scratch):
    """Of the source beside the same function as another architecture; of GPT-2 and OPT, which one with one key/value head holds, with all heads
    of a layer made equal."""
    results = []
    if heads == kv_heads and family != "starcoder2":
        for target in {"phi": ("starcoder2",)}.get(family, ("phi", "starcoder2")):
            results += same_function(build, family, name, source, kv_heads, target, ids_BT, scratch)
    if family in ("gpt2", "opt"):
        equal = with_equal_heads(source, scratch / "equal", heads)
        results += same_function(build, family, name, equal, 1, "gpt_bigcode", ids_BT, scratch)
    return results


def with_equal_heads(source, out, heads):
    """The first key head and the first value head of every layer in the place of the others."""
    def equal(tensor, dim):
        return torch.cat([tensor.chunk(heads, dim)[0]] * heads, dim)

    shutil.copytree(source, out)
    tensors = load_file(out / "model.safetensors")
    for name, tensor in tensors.items():
        if ".c_attn." in name:
            query, key, value = tensor.chunk(3, -1)
            tensors[name] = torch.cat([query, equal(key, -1), equal(value, -1)], -1)
        elif ".k_proj." in name or ".v_proj." in name:
            tensors[name] = equal(tensor, 0)
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    return out


def same_function(build, family, name, source, kv_heads, target, ids_BT, scratch):
    """HF's logits of the source beside HF's logits of it as another architecture, in units of their spread; nothing where that cannot hold it."""
    out = scratch / target
    done = subprocess.run([build / "regroup", "convert", source, out, "--kv-heads", str(kv_heads), "--target", target, "--method", "mean",
                           "--dtype", "fp32", "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode != 0:
        return []
    before, after = hf_families.logits(source, ids_BT), hf_families.logits(out, ids_BT)
    distance = ((before - after).abs().max() / before.std()).item()
    result = Result(family, "same function", distance, distance <= MOVED_BOUND)
    print(f"{'ok ' if result.good else 'BAD'} {distance:.1e} of the spread  {name} moved to {target}", flush=True)
    return [result]


MEASURED = """Our logits beside those of HF transformers {transformers} (torch {torch}, fp32, on a CPU), of random checkpoints of random sizes in {done}
variations of configuration and files in `tests/oracle/hf_families.py` (all of them are goldens of the test suite, with the same bound): the largest absolute difference, for the source as it is, for its conversions to
every smaller number of key/value heads that a class of HF's holds, loaded back by that class, and for those that moved to another
architecture, with how many comparisons that is. The last column is HF against itself: a source beside the same model moved to another architecture with as many heads
(GPT-2 and OPT, which move with one, with all heads of a layer made equal), in units of the logits' spread. {count} comparisons, {within} of them within 1e-4 (1e-5 in the last column), in {minutes:.0f} minutes on two shared cores, on {date}, seed {seed}:"""
PAGE = """# How exact every family is

{measured}

    .venv/bin/python tests/oracle/family_parity.py --page docs/parity.md{limit}

| family | source | converted | moved | the same function when moved |
|---|---|---|---|---|
{rows}"""


def turns(variations):
    """Every family's first variation, then the second ones, and so on."""
    seen = collections.Counter()
    numbered = []
    for family, variation in variations:
        numbered.append((seen[family], family, variation))
        seen[family] += 1
    return [(family, variation) for _, family, variation in sorted(numbered, key=lambda turn: turn[0])]


def page(results, done, options, seconds):
    kinds = ("source", "converted", "moved", "same function")
    rows = ""
    for family in hf_families.FAMILIES:
        cells = []
        for kind in kinds:
            distances = [result.distance for result in results if result.family == family and result.kind == kind]
            cells.append(f"{max(distances):.1e} ({len(distances)})" if distances else "")
        rows += f"| {family} | {' | '.join(cells)} |\n"
    variations = len(hf_families.variations())
    measured = MEASURED.format(transformers=transformers.__version__, torch=torch.__version__,
                               done=f"all {done}" if done == variations else f"{done} of the {variations}", count=len(results),
                               within=sum(result.good for result in results), minutes=seconds / 60,
                               date=datetime.date.today(), seed=options.seed)
    limit = f" --minutes {options.minutes}" if options.minutes else ""
    return PAGE.format(measured=textwrap.fill(" ".join(measured.split()), 120), limit=limit, rows=rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", nargs="+", choices=list(hf_families.FAMILIES))
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--minutes", type=int, help="begin no other variation after that")
    parser.add_argument("--page", type=pathlib.Path, help="write what was measured; only over all families")
    options = parser.parse_args()
    if options.page and options.families:
        parser.error("--page is over all families")
    start, results, done = time.time(), [], 0
    for seed in range(options.seed, options.seed + options.count):
        for family, variation in turns(hf_families.variations()):
            in_time = not options.minutes or time.time() - start < 60 * options.minutes
            if in_time and (not options.families or family in options.families):
                done += 1
                results += sweep(options.build, family, variation, seed + zlib.crc32(f"{family}{variation}".encode()) % 10**6)
    good = sum(result.good for result in results)
    print(f"{good} of {len(results)} within bounds, {time.time() - start:.0f} s")
    if options.page:
        options.page.write_text(page(results, done, options, time.time() - start))
    sys.exit(0 if good == len(results) else 1)
