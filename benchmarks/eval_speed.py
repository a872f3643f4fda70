#!/usr/bin/env python3
"""Speed of `regroup eval` on a model and a conversion of it, with all its statistics, beside lm-eval (HFLM) doing the perplexity of
the two alone: same text, windows, batch, precision and threads, in turns within one run.

Ours is the time of the whole program: start, loading, tokenizing, two models, paired statistics, outputs. lm-eval's is that of
loglikelihood_rolling alone: Python, imports and loading are not counted, tokenizing is. The record names the machine's load: on one that
is busy with other work, the ratio of times says how two programs starve, that of processor seconds still what they do.
usage: PYTHON benchmarks/eval_speed.py [--model DIR] [--results DIR]      (PYTHON has torch, lm_eval and accelerate)
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "../shared/models/books-mha")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data/corpora/books_valid.txt")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/regroup")
    parser.add_argument("--kv-heads", type=int, default=2)
    parser.add_argument("--bytes", type=int, default=400_000, help="of the text, from its beginning")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=pathlib.Path, help="write a record of the run into this folder")
    return parser.parse_args()


def processor_seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def our_turn(args, models, text, dtype, scratch):
    """Seconds and processor seconds of the program, and the tokens that it scored with every model."""
    report = scratch / "report.json"
    start, processor = time.perf_counter(), processor_seconds(resource.RUSAGE_CHILDREN)
    subprocess.run([args.program, "eval", *models, "--data", text, "--convention", "lm-eval", "--window", str(args.window), "--batch",
                    str(args.batch), "--dtype", dtype, "--threads", str(args.threads), "--json", report, "--report",
                    scratch / "report.html", "--overwrite", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start, processor_seconds(resource.RUSAGE_CHILDREN) - processor
    found = json.loads(report.read_text())
    return seconds, found["data"]["scored_tokens"], [model["word_perplexity"]["value"] for model in found["models"]]


def open_peers(args, models, dtype):
    import torch
    from lm_eval.models.huggingface import HFLM
    torch.set_num_threads(args.threads)
    return [HFLM(pretrained=str(model), max_length=args.window, dtype={"fp32": "float32", "bf16": "bfloat16"}[dtype], device="cpu",
                 batch_size=args.batch) for model in models]


def their_turn(peers, text):
    from lm_eval.api.instance import Instance
    from lm_eval.api.metrics import weighted_perplexity
    from lm_eval.api.task import Task
    document, words = text.read_text(), Task.count_words(text.read_text())
    start, processor = time.perf_counter(), processor_seconds(resource.RUSAGE_SELF)
    nats = [peer.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (document,), 0)], disable_tqdm=True)[0] for peer in peers]
    seconds = time.perf_counter() - start, processor_seconds(resource.RUSAGE_SELF) - processor
    return seconds, [weighted_perplexity([(each, words)]) for each in nats]


def measure(args, models, text, dtype, scratch):
    peers = open_peers(args, models, dtype)
    our_turn(args, models, text, dtype, scratch), their_turn(peers, text)  # not counted: caches, page faults
    ratios, of_processor, ours, theirs = [], [], [], []
    for _ in range(args.turns):
        seconds, tokens, figures = our_turn(args, models, text, dtype, scratch)
        peer_seconds, peer_figures = their_turn(peers, text)
        ours.append(2 * tokens / seconds[0])
        theirs.append(2 * tokens / peer_seconds[0])
        ratios.append(peer_seconds[0] / seconds[0])
        of_processor.append(peer_seconds[1] / seconds[1])
    apart = max(abs(one / other - 1) for one, other in zip(figures, peer_figures))
    return (f"| {dtype} | {statistics.median(ours):,.0f} | {statistics.median(theirs):,.0f} | {turn_by_turn(ratios)} | "
            f"{turn_by_turn(of_processor)} | {apart:.1e} |"), tokens


def turn_by_turn(ratios):
    return f"{statistics.median(ratios):.2f}x ({', '.join(f'{ratio:.2f}x' for ratio in ratios)})"


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        converted, text = scratch / "converted", scratch / "text.txt"
        subprocess.run([args.program, "convert", args.model, converted, "--kv-heads", str(args.kv_heads), "--weights-only", "--quiet"], check=True)
        text.write_text(args.data.read_text()[:args.bytes].replace("<|endoftext|>", "").strip("\n"))
        rows = []
        for dtype in args.dtypes:
            row, tokens = measure(args, [args.model, converted], text, dtype, scratch)
            rows.append(row)
            print(row, flush=True)
    record = "\n".join([
        "# eval's speed", "",
        f"`PYTHON {' '.join(sys.argv)}`: {args.model.name} and its conversion to {args.kv_heads} key/value heads, {tokens:,} tokens each in "
        f"windows of {args.window}, {args.batch} at a time, {args.threads} threads, {args.turns} turns; {machine.describe()}, load {os.getloadavg()[1]:.1f}. Tokens/s of "
        "both models together: ours with everything that `regroup eval` says of them and the program's start, lm-eval's of "
        "loglikelihood_rolling alone.", "",
        "| dtype | regroup eval, tokens/s | lm-eval, tokens/s | ours against it, turn by turn | the same by processor seconds | word perplexities apart by |",
        "|---|---|---|---|---|---|", *rows, ""])
    print(record)
    machine.record(args.results, "eval_speed", record)


if __name__ == "__main__":
    main()
