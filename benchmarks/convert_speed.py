"""regroup convert against `cp` + sync of the same files, on a synthetic checkpoint with the shapes of Llama-2-7B.

usage: .venv/bin/python benchmarks/convert_speed.py [--folder DIR] [--pairs N] [--layers L]

Both read from a cold page cache (where we may drop it) and end when their data is on the disk; they run in turn, and
the ratio is taken pair by pair. Needs about 40 GB in DIR at 32 layers, and deletes what it wrote.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import time

import machine

HIDDEN, FFN, HEADS, VOCAB, SHARDS = 4096, 11008, 32, 32000, 3


def tensors(layers):
    yield "model.embed_tokens.weight", [VOCAB, HIDDEN]
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", [HIDDEN]
        yield prefix + "mlp.down_proj.weight", [HIDDEN, FFN]
        yield prefix + "mlp.gate_proj.weight", [FFN, HIDDEN]
        yield prefix + "mlp.up_proj.weight", [FFN, HIDDEN]
        yield prefix + "post_attention_layernorm.weight", [HIDDEN]
        for projection in ("k", "o", "q", "v"):
            yield prefix + f"self_attn.{projection}_proj.weight", [HIDDEN, HIDDEN]
    yield "model.norm.weight", [HIDDEN]
    yield "lm_head.weight", [VOCAB, HIDDEN]


def random_bf16(count):
    """Finite values around +-0.01: a random mantissa under a fixed exponent."""
    data = bytearray(2 * count)
    data[0::2] = os.urandom(count)
    data[1::2] = os.urandom(count).translate(bytes((b & 0x80) | 0x3C for b in range(256)))
    return bytes(data)


def write_checkpoint(folder, layers):
    os.makedirs(folder)
    everything = list(tensors(layers))
    size = lambda shape: 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
    total = sum(size(shape) for _, shape in everything)
    shards, filled = [[]], 0
    for name, shape in everything:
        if filled > total / SHARDS and len(shards) < SHARDS:
            shards.append([])
            filled = 0
        shards[-1].append((name, shape))
        filled += size(shape)
    block, weight_map = random_bf16(1 << 24), {}
    for number, shard in enumerate(shards, 1):
        file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        header, offset = {"__metadata__": {"format": "pt"}}, 0
        for name, shape in shard:
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size(shape)]}
            offset += size(shape)
            weight_map[name] = file_name
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(folder, file_name), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            while offset:
                offset -= file.write(block[:offset])
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    json.dump(index, open(os.path.join(folder, "model.safetensors.index.json"), "w"))
    config = dict(
        architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=HIDDEN, intermediate_size=FFN,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, num_hidden_layers=layers, vocab_size=VOCAB,
        rms_norm_eps=1e-5, max_position_embeddings=4096, hidden_act="silu", torch_dtype="bfloat16",
        tie_word_embeddings=False,
    )  # fmt: skip
    json.dump(config, open(os.path.join(folder, "config.json"), "w"), indent=2)
    os.sync()
    return total


def drop_page_cache():
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
        return True
    except OSError:
        return False


def timed(command):
    """Wall seconds and peak resident bytes of a command."""
    os.sync()
    drop_page_cache()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="build/benchmark-convert")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--regroup", default="build/release/regroup")
    options = parser.parse_args()
    source, copy, output = (os.path.join(options.folder, name) for name in ("source", "copy", "converted"))
    shutil.rmtree(options.folder, ignore_errors=True)
    total = write_checkpoint(source, options.layers)
    print(machine.describe())
    print(f"source: {total / 1e9:.2f} GB in {SHARDS} files; page cache dropped: {drop_page_cache()}")
    ratios, copies, conversions, peaks = [], [], [], []
    for pair in range(options.pairs):
        copy_seconds, _ = timed(["sh", "-c", f"cp -r '{source}' '{copy}' && sync -f '{copy}'"])
        shutil.rmtree(copy)
        convert_seconds, peak = timed([options.regroup, "convert", source, output, "--kv-heads", "8", "--method", "mean",
                                           "--quiet"])
        shutil.rmtree(output)
        ratios.append(convert_seconds / copy_seconds)
        copies.append(copy_seconds)
        conversions.append(convert_seconds)
        peaks.append(peak)
        print(f"pair {pair + 1}: cp + sync {copy_seconds:.1f} s, convert {convert_seconds:.1f} s, "
              f"ratio {ratios[-1]:.2f}, peak resident {peak / 2**20:.0f} MiB", flush=True)  # fmt: skip
    print(f"median: cp + sync {statistics.median(copies):.1f} s, convert {statistics.median(conversions):.1f} s, "
          f"ratio {statistics.median(ratios):.2f}, peak resident {max(peaks) / 2**20:.0f} MiB")  # fmt: skip
    shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
