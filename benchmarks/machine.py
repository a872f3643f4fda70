"""What every benchmark prints beside its figures: the processor, the features that decide speed, and the GEMM peak measured
in the same run. An absolute figure means nothing without them."""

import datetime
import os
import re
import subprocess
import time

FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")


def cpu():
    lines = dict(
        line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line
    )
    lines = {key.strip(): value.strip() for key, value in lines.items()}
    flags = lines.get("flags", "").split()
    return lines.get("model name", "unknown"), [f for f in FEATURES if f in flags]


def gemm_peak(dtype_name="bfloat16", size=2048, seconds=1.0):
    """FLOP/s of a square matrix product by PyTorch, best of as many as fit in `seconds`."""
    import torch

    a = torch.randn(size, size, dtype=getattr(torch, dtype_name))
    b = torch.randn(size, size, dtype=getattr(torch, dtype_name))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def describe():
    name, features = cpu()
    # Without instructions for it a product in bfloat16 of this size takes minutes.
    short, dtype = ("bf16", "bfloat16") if any("bf16" in feature for feature in features) else ("fp32", "float32")
    peak = gemm_peak(dtype) / 1e9
    return f"{name}, {os.cpu_count()} cores, {' '.join(features)}; {short} GEMM peak {peak:.0f} GFLOP/s"


def run_measured(command):
    """Wall seconds, peak resident GiB, and what the command said on stderr; an exception where it fails."""
    start = time.perf_counter()
    done = subprocess.run(["/usr/bin/time", "-v", *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    peak = int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", done.stderr).group(1)) / 2**20
    return seconds, peak, done.stderr


def record(folder, name, text, mode="w"):
    """Keeps `text` as NAME_DATE.md in `folder`; none: nowhere."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{name}_{datetime.date.today()}.md", mode) as file:
            file.write(text)
