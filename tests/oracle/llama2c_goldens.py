#!/usr/bin/env python3
"""Writes tests/goldens/llama2c: tiny random Llamas of HF transformers as the .bin files of llama2.c, with HF's logits of them and
of what becomes of them; and the seeds of their fuzz target.

    .venv/bin/pip install transformers==5.24.0 safetensors
    .venv/bin/python tests/oracle/llama2c_goldens.py
"""
import hashlib
import json
import pathlib
import shutil
import struct
import tempfile

import numpy
import safetensors
import torch
import transformers
from safetensors.torch import save_file

import hf_llama

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/goldens/llama2c"
SEEDS = ROOT / "tests/fuzz/corpus/llama2c_file"

# Heads of three pairs: with two, putting pairs apart and putting them together is the same order of rows.
BASE = {"hidden_act": "silu", "hidden_size": 24, "intermediate_size": 16, "max_position_embeddings": 32,
        "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 4, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": True, "vocab_size": 20}
VARIATIONS = {
    "mha": BASE,
    "gqa": {**BASE, "num_key_value_heads": 2},
    "untied": {**BASE, "tie_word_embeddings": False},
}
SMALL = {**BASE, "hidden_size": 4, "intermediate_size": 2, "max_position_embeddings": 3, "num_attention_heads": 2,
         "num_hidden_layers": 1, "num_key_value_heads": 1, "vocab_size": 3, "tie_word_embeddings": False}

README = """Files of llama2.c, version 0, and HF transformers' logits of the models that they were made from.

Made by tests/oracle/llama2c_goldens.py with transformers {transformers}, torch {torch}, safetensors {safetensors}. Each directory
holds model.bin; safetensors.json, the SHA-256 of the model.safetensors that HF's save_pretrained() writes; and
expected.safetensors:

- `ids` [B, T]
- `logits_fp32` [B, T, V]
- `mean_K` [B, T, V]: the same after key and value heads were averaged into K
"""


def interleaved(rows, head_dim):
    """HF's order of a projection's rows -> llama2.c's: pairs (j, j + D/2) of each head become (2j, 2j + 1)."""
    heads = rows.view(-1, 2, head_dim // 2, rows.shape[-1])
    return heads.transpose(1, 2).reshape(rows.shape)


def angles(config):
    head_dim = config.hidden_size // config.num_attention_heads
    frequencies = 1.0 / (10000.0 ** (torch.arange(0, head_dim, 2).float() / head_dim))
    return torch.outer(torch.arange(config.max_position_embeddings).float(), frequencies)


def write_bin(path, model):
    c = model.config
    head_dim = c.hidden_size // c.num_attention_heads
    layers = model.model.layers
    runs = [[model.model.embed_tokens.weight],
            [x.input_layernorm.weight for x in layers],
            [interleaved(x.self_attn.q_proj.weight, head_dim) for x in layers],
            [interleaved(x.self_attn.k_proj.weight, head_dim) for x in layers],
            [x.self_attn.v_proj.weight for x in layers],
            [x.self_attn.o_proj.weight for x in layers],
            [x.post_attention_layernorm.weight for x in layers],
            [x.mlp.gate_proj.weight for x in layers],
            [x.mlp.down_proj.weight for x in layers],
            [x.mlp.up_proj.weight for x in layers],
            [model.model.norm.weight],
            [angles(c).cos()],
            [angles(c).sin()]]
    if not c.tie_word_embeddings:
        runs.append([model.lm_head.weight])
    header = struct.pack("<7i", c.hidden_size, c.intermediate_size, c.num_hidden_layers, c.num_attention_heads,
                         c.num_key_value_heads, c.vocab_size if c.tie_word_embeddings else -c.vocab_size,
                         c.max_position_embeddings)
    tensors = b"".join(t.detach().numpy().astype(numpy.float32).tobytes() for run in runs for t in run)
    path.write_bytes(header + tensors)


def averaged(directory, config, kv_heads, out):
    """The model with neighbouring key and value heads averaged into `kv_heads`."""
    source = transformers.LlamaForCausalLM.from_pretrained(directory)
    result = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**config, "num_key_value_heads": kv_heads}))
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    tensors = {}
    for name, tensor in source.state_dict().items():
        if "k_proj" in name or "v_proj" in name:
            tensor = tensor.view(kv_heads, -1, head_dim, tensor.shape[-1]).mean(1).reshape(-1, tensor.shape[-1])
        tensors[name] = tensor
    result.load_state_dict(tensors)
    result.save_pretrained(out)


def write_variation(index, name):
    config = VARIATIONS[name]
    directory = OUT / name
    directory.mkdir(parents=True)
    model = hf_llama.random_model(config, seed=100 + index)
    model.tie_weights()
    write_bin(directory / "model.bin", model)
    ids_BT = torch.randint(20, (1, 16), generator=torch.Generator().manual_seed(2000 + index))
    with tempfile.TemporaryDirectory() as work:
        source = pathlib.Path(work) / "source"
        model.save_pretrained(source)
        digest = hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
        golden = {"ids": ids_BT, "logits_fp32": hf_llama.logits(source, ids_BT, torch.float32)}
        for kv_heads in (2, 1):
            if kv_heads < config["num_key_value_heads"]:
                result = pathlib.Path(work) / str(kv_heads)
                averaged(source, config, kv_heads, result)
                golden[f"mean_{kv_heads}"] = hf_llama.logits(result, ids_BT, torch.float32)
    (directory / "safetensors.json").write_text(json.dumps({"sha256": digest}) + "\n")
    save_file(golden, directory / "expected.safetensors")


def write_seeds():
    shutil.rmtree(SEEDS, ignore_errors=True)
    SEEDS.mkdir(parents=True)
    model = hf_llama.random_model(SMALL, seed=1)
    write_bin(SEEDS / "untied", model)
    whole = (SEEDS / "untied").read_bytes()
    write_bin(SEEDS / "tied", hf_llama.random_model({**SMALL, "tie_word_embeddings": True}, seed=2))
    (SEEDS / "cut_off").write_bytes(whole[:-8])
    (SEEDS / "trailing").write_bytes(whole + b"\0" * 4)
    (SEEDS / "huge").write_bytes(struct.pack("<7i", *[2**31 - 2] * 3, 2, 1, 2**31 - 1, 2**31 - 1))
    (SEEDS / "version_1").write_bytes(struct.pack("<Ii", 0x616B3432, 1) + whole[:28] + b"\1" + b"\0" * 219)
    (SEEDS / "zip").write_bytes(b"PK\3\4" + b"\0" * 60)


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    for position, variation in enumerate(VARIATIONS):
        write_variation(position, variation)
    write_seeds()
    (OUT / "README.md").write_text(README.format(transformers=transformers.__version__, torch=torch.__version__,
                                                 safetensors=safetensors.__version__))
