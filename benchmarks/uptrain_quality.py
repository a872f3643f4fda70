#!/usr/bin/env python3
"""What uptraining wins back: nats per token above the source on held-out text, and KL(source || model), which has less noise
to compare recipes by, by conversion, loss and budget.

Training text is all of --train but its last --set-aside bytes; with --tune those, and not the held-out text, are what is
measured on: recipes are chosen there. Seeds choose calibration windows and the order of training windows.
usage: .venv/bin/python benchmarks/uptrain_quality.py [--rows NAME...] [--kv-heads G...] [--fractions F...] [--seeds S...]
       [--tune] [--flags "--lr 1e-4"] [--results DIR]
"""
import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import tempfile

import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT / "../shared"

# name -> (flags of convert, whether it sees text, flags of uptrain, whether it has the teacher)
ROWS = {
    "mean + cross-entropy (Ainslie et al.)": (["--method", "mean"], False, ["--lr", "1e-3", "--sequence-length", "256",
                                                                           "--batch-tokens", "4096"], False),
    "mean + KL": (["--method", "mean"], False, ["--lr", "1e-3", "--sequence-length", "256", "--batch-tokens", "4096"], True),
    "default + KL": ([], True, [], True),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=SHARED / "models/books-mha")
    parser.add_argument("--train", type=pathlib.Path, default=SHARED / "data/corpora/books_train.txt")
    parser.add_argument("--data", type=pathlib.Path, default=SHARED / "data/corpora/books_valid.txt")
    parser.add_argument("--set-aside", type=int, default=1 << 20)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--flags", default="", help="more flags of uptrain, for every row")
    parser.add_argument("--tokens", type=int, default=49152, help="held-out tokens")
    parser.add_argument("--kv-heads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.01, 0.05])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="NAME", default=list(ROWS))
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/regroup")
    parser.add_argument("--work", type=pathlib.Path, help="keep conversions here and take them from here")
    parser.add_argument("--results", type=pathlib.Path, help="write a record of the run into this folder")
    return parser.parse_args()


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        text = args.train.read_bytes()
        self.train, aside = folder / "train.bin", folder / "aside.txt"
        if not self.train.exists():
            aside.write_bytes(text[-args.set_aside:].split(b"\n", 1)[1])
            (folder / "train.txt").write_bytes(text[:-args.set_aside].rsplit(b"\n", 1)[0])
            run(args.program, "tokenize", args.model, folder / "train.txt", self.train, "--format", "llm.c", "--quiet")
        self.measured = aside if args.tune else args.data

    def converted(self, row, kv_heads, seed):
        flags, text, _, _ = ROWS[row]
        out = self.folder / f"{'-'.join(word.strip('-') for word in flags) or 'default'}-{kv_heads}-{seed if text else 0}"
        if not out.exists():
            run(self.args.program, "convert", self.args.model, out, "--kv-heads", kv_heads, "--seed", seed, "--quiet", *flags,
                *(["--calibration", self.train] if text else []))
        return out

    def uptrained(self, row, start, fraction, seed):
        _, _, flags, teacher = ROWS[row]
        out = self.folder / "uptrained"
        run(self.args.program, "uptrain", start, "--data", self.train, "--out", out, "--fraction", fraction, "--seed", seed,
            "--save-every", 1000000, "--overwrite", "--quiet", *flags, *(["--teacher", self.args.model] if teacher else []),
            *shlex.split(self.args.flags))
        return out

    def measures(self, model):
        report = self.folder / "report.json"
        run(self.args.program, "eval", self.args.model, model, "--data", self.measured, "--window", 512, "--max-tokens",
            self.args.tokens, "--json", report, "--overwrite", "--quiet")
        found = json.loads(report.read_text())["models"][1]
        return found["difference"]["value"], found["statistics"]["kl_divergence"]["value"]


def cell(measures):
    above, divergence = zip(*measures)
    spread = f" ({min(above):.4f} to {max(above):.4f})" if len(above) > 1 else ""
    return f"{statistics.fmean(above):.4f}{spread}; KL {statistics.fmean(divergence):.4f}"


def main():
    args = arguments()
    heads = [f"{8 // g}:1, {f:.0%}" for g in args.kv_heads for f in [0, *args.fractions]]
    lines = [f"nats per token above the source, and KL to it; {args.tokens} tokens of {'text set aside' if args.tune else args.data.name}, "
             f"windows of 512; seeds {', '.join(map(str, args.seeds))}{'; ' + args.flags if args.flags else ''}", "",
             "| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = args.work or pathlib.Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(args, folder)
        for row in args.rows:
            cells = []
            for kv_heads in args.kv_heads:
                starts = [bench.converted(row, kv_heads, seed) for seed in args.seeds]
                cells.append(cell([bench.measures(start) for start in dict.fromkeys(starts)]))
                for fraction in args.fractions:
                    cells.append(cell([bench.measures(bench.uptrained(row, start, fraction, seed))
                                       for seed, start in zip(args.seeds, starts)]))
                    print(f"  {row}, {kv_heads} heads, {fraction}: {cells[-1]}", flush=True)
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
    text = "\n".join(lines + ["", machine.describe()]) + "\n"
    print(text)
    machine.record(args.results, f"uptrain_quality_{args.model.name}", f"# Uptraining\n\n{text}")


if __name__ == "__main__":
    main()
