#!/usr/bin/env python3
"""Compares our logits with a live HF transformers: random Llama checkpoints of random shapes and options, and those in
../shared/models over their whole context. Prints one line each; exit code 1 beyond 1e-4 (fp32) or 1e-10 (fp64, see
tests/goldens/llama/README.md).

    cmake --build --preset release --target logits
    .venv/bin/pip install transformers==5.23.0 safetensors sentencepiece
    .venv/bin/python tests/oracle/llama_parity.py [--count 40] [--seed 0] [--build build/release]
"""
import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import sentencepiece
import torch
from safetensors.torch import load_file, save_file

import hf_llama

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def random_rope(rng, positions):
    theta = rng.choice([7.0, 100.0, 10000.0, 500000.0])
    kind = rng.choice(["absent", "top", "parameters", "linear", "linear-old", "llama3", "llama3-old"])
    llama3 = {"rope_type": "llama3", "factor": rng.choice([2.0, 8.0]), "low_freq_factor": 1.0,
              "high_freq_factor": rng.choice([2.0, 4.0]), "original_max_position_embeddings": positions}
    factor = rng.choice([1.5, 2, 4.0])
    return {
        "absent": {},
        "top": {"rope_theta": theta},
        "parameters": {"rope_parameters": {"rope_theta": theta, "rope_type": "default"}},
        "linear": {"rope_parameters": {"rope_theta": theta, "rope_type": "linear", "factor": factor}},
        "linear-old": {"rope_theta": theta, "rope_scaling": {"type": "linear", "factor": factor}},
        "llama3": {"rope_parameters": {**llama3, "rope_theta": theta}},
        "llama3-old": {"rope_theta": theta, "rope_scaling": llama3},
    }[kind]


def random_config(rng):
    heads = rng.choice([1, 2, 3, 4, 6, 8])
    width = rng.choice([2, 4, 6, 8, 16, 20])
    positions = rng.choice([32, 128, 512])
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": heads * width, "intermediate_size": rng.randrange(1, 100), "num_hidden_layers": rng.randrange(1, 4),
        "num_attention_heads": heads, "vocab_size": rng.randrange(2, 300), "max_position_embeddings": positions,
        "rms_norm_eps": rng.choice([1e-5, 1e-6, 1e-2]), "attention_bias": rng.random() < 0.3, "mlp_bias": rng.random() < 0.3,
        "tie_word_embeddings": rng.random() < 0.5, **random_rope(rng, positions),
    }
    if rng.random() < 0.7:
        config["num_key_value_heads"] = rng.choice([k for k in range(1, heads + 1) if heads % k == 0])
    if rng.random() < 0.3:
        config["head_dim"] = rng.choice([2, 10, 32])
    return config


def compare(program, name, checkpoint, ids_BT):
    with tempfile.TemporaryDirectory() as scratch:
        given, ours = f"{scratch}/ids.safetensors", f"{scratch}/ours.safetensors"
        save_file({"ids": ids_BT}, given)
        subprocess.run([program, checkpoint, given, ours], check=True)
        results = load_file(ours)
    golden = hf_llama.expected(checkpoint, ids_BT)
    fp32, fp64 = ((results[key] - golden[key]).abs().max().item() for key in ("logits_fp32", "logits_fp64"))
    untouched = hf_llama.distance_of_untouched_fp64(checkpoint, golden)
    good = fp32 <= 1e-4 and fp64 <= 1e-10
    print(f"{'ok ' if good else 'BAD'} fp32 {fp32:.1e}  fp64 {fp64:.1e}  (HF's untouched fp64 {untouched:.1e})  {name}", flush=True)
    return good


def random_case(program, seed):
    rng = random.Random(seed)
    config = random_config(rng)
    dtype = rng.choice([torch.float32, torch.float16, torch.bfloat16])
    ids_BT = torch.randint(config["vocab_size"], (rng.randrange(1, 4), rng.randrange(1, config["max_position_embeddings"])),
                           generator=torch.Generator().manual_seed(seed))
    with tempfile.TemporaryDirectory() as checkpoint:
        hf_llama.write_checkpoint(checkpoint, config, seed, dtype, shard_size=rng.choice(["50GB", "20KB"]))
        return compare(program, f"seed {seed}: {dtype}, {list(ids_BT.shape)}, {config}", checkpoint, ids_BT)


def shared_case(program, name, text, tokens):
    model = SHARED / "models" / name
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    ids = [1] + tokenizer.encode((SHARED / "data/corpora" / text).read_text()[:40000])[:tokens - 1]
    return compare(program, f"{name}, {tokens} tokens", str(model), torch.tensor([ids]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    options = parser.parse_args()
    logits = options.build / "tests/logits"
    results = [random_case(logits, seed) for seed in range(options.seed, options.seed + options.count)]
    if SHARED.exists():
        for tokens in (512, 2048):
            results += [shared_case(logits, "kjv-mha", "tinyshakespeare.txt", tokens),
                        shared_case(logits, "books-mha", "books_valid.txt", tokens)]
    print(f"{sum(results)} of {len(results)} within bounds")
    sys.exit(0 if all(results) else 1)
