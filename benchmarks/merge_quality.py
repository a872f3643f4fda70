#!/usr/bin/env python3
"""What conversions lose: nats per token above the source on held-out text, by method, for 2, 4 and 8 heads a group,
beside an independent study of the same model (no uptraining anywhere; source 3.767 nats per token there).

Rows that look at text are run with several seeds, which choose the windows: mean and range are printed.
usage: .venv/bin/python benchmarks/merge_quality.py [--rows NAME...] [--results DIR]
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT / "../shared"

# name -> (flags, tokens of calibration text, 0: drawn ones, None: none, the study's figures at 2:1, 4:1, 8:1). Rows of one seed: SINGLE.
ROWS = {
    "mean": (["--method", "mean"], None, (0.860, 1.268, 1.399)),
    "first": (["--method", "first"], None, (0.716, 1.046, 1.120)),
    "select": (["--method", "select", "--weights-only"], None, None),
    "mean-renorm": (["--method", "mean-renorm", "--weights-only"], None, (0.536, 0.999, 1.282)),
    "mean, cost": (["--method", "mean", "--grouping", "cost", "--refit", "none"], 12288, (0.732, 1.290, 1.399)),
    "select, text": (["--method", "select", "--refit", "none"], 12288, None),
    "aligned-mean": (["--method", "aligned-mean", "--grouping", "contiguous", "--weights-only"], None, (0.510, 0.909, 1.121)),
    "aligned-renorm": (["--method", "aligned-renorm", "--grouping", "contiguous", "--weights-only"], None, (0.272, 0.569, 1.046)),
    "aligned-mean, text": (["--method", "aligned-mean", "--grouping", "contiguous", "--refit", "none"], 12288,
                           (0.285, 0.590, 0.783)),
    "aligned-renorm, text": (["--method", "aligned-renorm", "--grouping", "contiguous", "--refit", "none"], 12288,
                             (0.156, 0.568, 1.292)),
    "optimal, contiguous": (["--grouping", "contiguous", "--weights-only"], None, (0.098, 0.239, 0.438)),
    "optimal, cost": (["--weights-only"], None, (0.065, 0.206, 0.425)),
    "optimal, cost, 12 k drawn": (["--refit", "none", "--calibration-tokens", "12288"], 0, None),
    "default without text (65 k drawn)": ([], 0, None),
    "optimal, contiguous, text": (["--grouping", "contiguous", "--refit", "none"], 12288, (0.040, 0.103, 0.218)),
    "optimal, cost, text": (["--refit", "none"], 12288, (0.022, 0.105, 0.218)),
    "  + scale": (["--refit", "scale"], 32768, None),
    "  + query": (["--refit", "query"], 32768, None),
    "  + ridge": (["--refit", "ridge"], 32768, (0.016, 0.073, 0.148)),
    "  + ridge, reconstruct on 33 k": (["--refit", "ridge,reconstruct"], 32768, (0.010, 0.042, 0.104)),
    "mean + ridge": (["--method", "mean", "--refit", "ridge"], 32768, (0.171, 0.390, None)),
    "mean + reconstruct": (["--method", "mean", "--refit", "reconstruct"], 32768, (0.156, 0.567, 0.898)),
    "default with text (65 k)": ([], 65536, (0.010, 0.040, 0.10)),
    "default with text of its own (65 k)": (["--generate-calibration"], 65536, None),
    "  without reconstruct's ridge": (["--refit", "reconstruct"], 65536, None),
    "  + query first": (["--refit", "query,ridge,reconstruct"], 65536, None),
    "  first position left out": (["--first-position-weight", "0"], 65536, None),
}

# Long runs that answer a question of "does it matter": one seed is enough to see that.
SINGLE = ["  without reconstruct's ridge", "  + query first", "  first position left out"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=SHARED / "models/books-mha")
    parser.add_argument("--calibration", type=pathlib.Path, default=SHARED / "data/corpora/books_train.txt")
    parser.add_argument("--data", type=pathlib.Path, default=SHARED / "data/corpora/books_valid.txt")
    parser.add_argument("--tokens", type=int, default=49152, help="held-out tokens")
    parser.add_argument("--kv-heads", type=int, nargs="+", default=[4, 2, 1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="NAME")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/regroup")
    parser.add_argument("--results", type=pathlib.Path, help="write a record of the run into this folder")
    return parser.parse_args()


def convert(args, shard, flags, tokens, kv_heads, seed, out):
    command = [args.program, "convert", args.model, out, "--kv-heads", str(kv_heads), "--seed", str(seed), "--quiet",
               *flags]
    if tokens:
        command += ["--calibration-tokens", str(tokens)]
    if tokens and "--generate-calibration" not in flags:
        command += ["--calibration", shard]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def losses(args, folder, outs):
    """Nats per token above the source, by output directory."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    subprocess.run([args.program, "eval", args.model, *outs, "--data", args.data, "--window", "512", "--max-tokens",
                    str(args.tokens), "--json", report, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    models = json.loads(report.read_text())["models"]
    source = models[0]["nats_per_token"]["value"]
    return source, [model["nats_per_token"]["value"] - source for model in models[1:]]


def cell(values, study):
    mean = statistics.fmean(values)
    text = f"{mean:.4f}" if mean < 0.1 else f"{mean:.3f}"
    if len(values) > 1:
        text += f" ({min(values):.4f} to {max(values):.4f})"
    return text + (f" / {study:.3f}" if study is not None else "")


def main():
    args = arguments()
    lines = [f"{args.tokens} held-out tokens in windows of 512; after the slash: the study's figure",
             "", "| conversion | " + " | ".join(f"{g} key/value heads" for g in args.kv_heads) + " | seconds |",
             "|---|" + "---|" * (len(args.kv_heads) + 1)]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shard = folder / "calibration.bin"
        subprocess.run([args.program, "tokenize", args.model, args.calibration, shard, "--format", "llm.c", "--quiet"],
                       check=True, stdout=subprocess.DEVNULL)
        for row in args.rows or ROWS:
            flags, tokens, study = ROWS[row]
            cells, seconds = [], []
            for index, kv_heads in enumerate(args.kv_heads):
                outs = []
                for seed in args.seeds if tokens is not None and row not in SINGLE else args.seeds[:1]:
                    outs.append(folder / f"model-{kv_heads}-{seed}")
                    seconds.append(convert(args, shard, flags, tokens, kv_heads, seed, outs[-1]))
                source, values = losses(args, folder, outs)
                cells.append(cell(values, study[index] if study and args.kv_heads == [4, 2, 1] else None))
                subprocess.run(["rm", "-rf", *outs], check=True)
            lines.append(f"| {row} | " + " | ".join(cells) + f" | {statistics.fmean(seconds):.0f} |")
            print(lines[-1], flush=True)
    lines += ["", f"source: {source:.4f} nats per token"]
    text = "\n".join(lines + ["", machine.describe()]) + "\n"
    print(text)
    machine.record(args.results, f"merge_quality_{args.model.name}", f"# Merge quality\n\n{text}")


if __name__ == "__main__":
    main()
