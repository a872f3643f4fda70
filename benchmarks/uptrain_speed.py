#!/usr/bin/env python3
"""Training speed of `regroup uptrain` beside HF transformers + PyTorch: same model, batch, precision and threads,
in turns within one run, because neighbours and clock rates change from minute to minute.

HF's side: SDPA attention, fused AdamW, gradient clipping; in bf16, autocast over fp32 weights. With --distil both minimise
KL(teacher || student) over the whole vocabulary, the teacher being another copy of the model, without gradients.
usage: .venv/bin/python benchmarks/uptrain_speed.py [--model DIR] [--distil] [--results DIR]      (needs transformers)
"""
import argparse
import datetime
import json
import pathlib
import platform
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
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data/corpora/tinyshakespeare.txt")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/regroup")
    parser.add_argument("--sequence-length", type=int, default=512)
    parser.add_argument("--windows", type=int, default=16, help="a step")
    parser.add_argument("--steps", type=int, default=5, help="a turn, the first one not counted")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16" if "bf16" in " ".join(machine.cpu()[1]) else "fp32")
    parser.add_argument("--compile", action="store_true", help="a third side: the same HF step under torch.compile")
    parser.add_argument("--distil", action="store_true", help="with a teacher, its pass included")
    parser.add_argument("--results", type=pathlib.Path, help="write a record of the run into this folder")
    parser.add_argument("--hf-turn", choices=["eager", "compile"], help=argparse.SUPPRESS)
    return parser.parse_args()


def hf_turn(args):
    """Seconds of each HF step, printed as JSON: a process of its own, so that no side warms the other's caches."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(args.threads)
    load = lambda dtype: AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype, attn_implementation="sdpa")
    model = load(torch.float32)
    teacher = load(torch.bfloat16 if args.precision == "bf16" else torch.float32).eval() if args.distil else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0, fused=True)
    forward = torch.compile(model) if args.hf_turn == "compile" else model
    teach = torch.compile(teacher) if teacher and args.hf_turn == "compile" else teacher

    def loss_of(logits, inputs, targets):
        if not teacher:
            return torch.nn.functional.cross_entropy(logits.float(), targets)
        with torch.no_grad():
            wanted = teach(input_ids=inputs, use_cache=False).logits.flatten(0, 1).float().log_softmax(-1)
        return torch.nn.functional.kl_div(logits.float().log_softmax(-1), wanted, log_target=True, reduction="batchmean")

    tokens = torch.randint(0, model.config.vocab_size, (args.windows, args.sequence_length + 1))
    seconds = []
    for _ in range(args.steps + (1 if args.hf_turn == "compile" else 0)):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            logits = forward(input_ids=tokens[:, :-1], use_cache=False).logits
            loss = loss_of(logits.flatten(0, 1), tokens[:, :-1], tokens[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds[-(args.steps - 1):]))


def their_seconds(args, kind):
    command = [sys.executable, __file__, "--hf-turn", kind]
    for name in ("model", "sequence-length", "windows", "steps", "threads", "precision"):
        command += [f"--{name}", str(getattr(args, name.replace("-", "_")))]
    command += ["--distil"] if args.distil else []
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def our_seconds(args):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        subprocess.run(
            [args.program, "uptrain", args.model, "--data", args.data, "--out", out, "--steps", str(args.steps),
             "--sequence-length", str(args.sequence_length),
             "--batch-tokens", str(args.windows * args.sequence_length), "--save-every", "1000000",
             "--threads", str(args.threads), "--precision", args.precision, "--quiet",
             *(["--teacher", args.model] if args.distil else [])], check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return [line["seconds"] for line in lines[1:]]


def flops_per_token(model, length, distil):
    """6 N + 6 L T M: N weights that multiply activations, causal attention counted at half; a teacher's pass is a third more."""
    config = json.loads((model / "config.json").read_text())
    hidden, layers, ffn = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    heads, head_dim = config["num_attention_heads"], config.get("head_dim") or hidden // config["num_attention_heads"]
    kv = config.get("num_key_value_heads", heads) * head_dim
    matmul = layers * (hidden * (2 * heads * head_dim + 2 * kv) + 3 * hidden * ffn) + config["vocab_size"] * hidden
    return (8 if distil else 6) * (matmul + layers * length * heads * head_dim)


def main():
    args = arguments()
    if args.hf_turn:
        return hf_turn(args)
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    sides = {"regroup uptrain": lambda: our_seconds(args),
             "HF transformers, SDPA": lambda: their_seconds(args, "eager")}
    if args.compile:
        sides["HF transformers under torch.compile"] = lambda: their_seconds(args, "compile")
    seconds = {name: [] for name in sides}
    peak = 0.0
    for _ in range(args.turns):
        peak = max(peak, machine.gemm_peak("bfloat16" if args.precision == "bf16" else "float32"))
        for name, measure in sides.items():
            seconds[name].append(statistics.median(measure()))
    tokens = args.windows * args.sequence_length
    rates = {name: [tokens / s for s in turns] for name, turns in seconds.items()}
    ours = "regroup uptrain"
    version = subprocess.run([args.program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    lines = [f"# Training speed, {datetime.date.today()}", "",
             f"{args.model.name}, {args.windows} x {args.sequence_length} tokens a step, {args.threads} threads, "
             f"{'with a teacher of the same shapes, ' if args.distil else ''}"
             f"{args.precision}, {args.turns} turns of {args.steps - 1} counted steps; medians of turns.", "", "```", version,
             f"torch {torch.__version__}, transformers {transformers.__version__}, Python {platform.python_version()}",
             f"{args.precision} GEMM peak in this run: {peak / 1e9:.0f} GFLOP/s; {', '.join(machine.cpu()[1])}", "```", "",
             "| | tokens/s | MFU | ours is faster by, turn by turn |", "|---|---|---|---|"]
    for name, turns in rates.items():
        rate = statistics.median(turns)
        mfu = rate * flops_per_token(args.model, args.sequence_length, args.distil) / peak
        pairs = ", ".join(f"{a / b:.2f}x" for a, b in zip(rates[ours], turns)) if name != ours else ""
        lines.append(f"| {name} | {rate:.0f} | {100 * mfu:.1f}% | {pairs} |")
    text = "\n".join(lines) + "\n"
    print(text)
    machine.record(args.results, f"uptrain_speed_{args.model.name}{'_distil' if args.distil else ''}", text)


if __name__ == "__main__":
    sys.exit(main())
