"""Memory and time of a calibrated conversion with the shapes of Llama-2-7B: a checkpoint of two layers, from which 32 are
extrapolated (layers are done one after the other, so memory does not grow with them and time does).

usage: .venv/bin/python benchmarks/calibration_scale.py [--folder DIR] [--tokens N] [--refit LIST] [--kv-heads G]
       [--memory SIZE] [--results DIR]
"""

import argparse
import pathlib
import random
import shutil
import struct

import convert_speed
import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYERS, WHOLE = 2, 32
GROUPING_SECONDS = 120  # the default, of which these layers get their share


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/calibration_scale"))
    parser.add_argument("--tokens", type=int, default=65536)
    parser.add_argument("--refit", default="ridge,reconstruct")
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--memory", default="8GiB")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/regroup")
    parser.add_argument("--results", type=pathlib.Path, help="append a record of the run to a file in this folder")
    return parser.parse_args()


def write_tokens(path, count):
    """A token shard as llm.c has them: 256 int32, then uint16 ids."""
    ids = random.Random(0).choices(range(convert_speed.VOCAB), k=count)
    path.write_bytes(struct.pack("<256i", 20240520, 1, count, *[0] * 253) + struct.pack(f"<{count}H", *ids))


def main():
    args = arguments()
    args.folder.mkdir(parents=True, exist_ok=True)
    source = args.folder / "source"
    if not source.exists():
        convert_speed.write_checkpoint(str(source), LAYERS)
    write_tokens(args.folder / "tokens.bin", args.tokens + 1024)
    command = [args.program, "convert", source, args.folder / "out", "--kv-heads", str(args.kv_heads),
               "--calibration", args.folder / "tokens.bin", "--calibration-tokens", str(args.tokens), "--refit", args.refit,
               "--memory", args.memory,
               "--grouping-seconds", str(GROUPING_SECONDS * LAYERS / WHOLE), "--overwrite", "--quiet"]
    seconds, peak, _ = machine.run_measured(command)
    shutil.rmtree(args.folder / "out")
    line = (f"{args.tokens} tokens, 32 -> {args.kv_heads} heads, --refit {args.refit} --memory {args.memory}: {LAYERS} layers in "
            f"{seconds:.0f} s, peak resident {peak:.2f} GiB; {WHOLE} layers by extrapolation {seconds * WHOLE / LAYERS / 3600:.1f} h")
    print(line, machine.describe(), sep="\n")
    machine.record(args.results, "calibration_scale", f"- {line} ({machine.describe()})\n", "a")


if __name__ == "__main__":
    main()
