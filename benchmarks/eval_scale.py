"""Memory and time of `regroup eval` on two models with the shapes of Llama-2-7B: a source and its conversion to 8 key/value heads.

Weights are random, so the figures that eval reports mean nothing; what it takes does. Needs 30 GB in DIR at 32 layers, which stay
there for another run.
usage: .venv/bin/python benchmarks/eval_scale.py [--folder DIR] [--layers L] [--tokens N] [--dtype T] [--memory SIZE] [--results DIR]
"""

import argparse
import pathlib
import re
import subprocess

import calibration_scale
import convert_speed
import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/eval_scale"))
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--memory", help="eval's own; left out: what is available")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/regroup")
    parser.add_argument("--results", type=pathlib.Path, help="append a record of the run to a file in this folder")
    return parser.parse_args()


def main():
    args = arguments()
    args.folder.mkdir(parents=True, exist_ok=True)
    source, model = (args.folder / f"{name}-{args.layers}" for name in ("source", "model"))
    if not source.exists():
        convert_speed.write_checkpoint(str(source), args.layers)
    if not model.exists():
        subprocess.run([args.program, "convert", source, model, "--kv-heads", "8", "--method", "mean", "--quiet"], check=True)
    calibration_scale.write_tokens(args.folder / "tokens.bin", args.tokens + 1)
    command = [args.program, "eval", source, model, "--data", args.folder / "tokens.bin", "--dtype", args.dtype,
               "--json", args.folder / "report.json", "--overwrite", *(["--memory", args.memory] if args.memory else [])]
    seconds, peak, log = machine.run_measured(command)
    said = re.search(r"memory: (.*)", log).group(1)
    line = (f"{args.layers} layers, {args.tokens} tokens, --dtype {args.dtype}{f' --memory {args.memory}' if args.memory else ''}: "
            f"{seconds:.0f} s for both models, peak resident {peak:.2f} GiB; said before: {said}")
    print(line, machine.describe(), sep="\n")
    machine.record(args.results, "eval_scale", f"- {line} ({machine.describe()})\n", "a")


if __name__ == "__main__":
    main()
