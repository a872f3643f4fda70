#!/usr/bin/env python3
"""Writes tests/goldens/llama: tiny random Llama checkpoints, one for each variation of config.json and of the files that real
ones come in, with HF transformers' logits; and the logits of the checkpoints in ../shared/models.

    .venv/bin/pip install transformers==5.23.0 safetensors sentencepiece
    .venv/bin/python tests/oracle/llama_goldens.py
"""
import pathlib
import shutil

import safetensors
import sentencepiece
import torch
import transformers
from safetensors.torch import save_file

import hf_llama

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/goldens/llama"
SHARED = ROOT.parent / "shared"

BASE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 16,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "vocab_size": 48,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 128}


def without(*keys):
    return {key: value for key, value in BASE.items() if key not in keys}


def inv_freq(_):
    buffer = 1.0 / (10000.0 ** (torch.arange(0, 4, 2).float() / 4))
    return {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": buffer.clone() for i in range(2)}


def second_head(tensors):
    return {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}


# name -> (config.json, how the weights are stored)
VARIATIONS = {
    "untied": (BASE, {}),
    "tied": ({**BASE, "tie_word_embeddings": True}, {"dtype": torch.float16}),
    "tied_stored_twice": ({**BASE, "tie_word_embeddings": True}, {"extra": second_head, "dtype": torch.bfloat16}),
    "attention_bias": ({**BASE, "attention_bias": True}, {}),
    "mlp_bias": ({**BASE, "mlp_bias": True}, {"dtype": torch.bfloat16}),
    "attention_bias_gqa_bf16": ({**BASE, "attention_bias": True, "num_key_value_heads": 2}, {"dtype": torch.bfloat16}),
    "head_dim": ({**BASE, "head_dim": 8, "num_key_value_heads": 2}, {"dtype": torch.float16}),
    "gqa": ({**BASE, "num_key_value_heads": 2}, {"dtype": torch.bfloat16}),
    "mqa": ({**BASE, "num_key_value_heads": 1}, {"dtype": torch.bfloat16}),
    "kv_heads_absent": (without("num_key_value_heads"), {"dtype": torch.float16}),
    "least_keys": (without("num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta"),
                   {"dtype": torch.bfloat16}),
    "rope_theta_at_the_top": ({**BASE, "rope_theta": 7.0, "rope_scaling": None}, {"dtype": torch.bfloat16}),
    "rope_parameters": ({**without("rope_theta"), "rope_parameters": {"rope_theta": 50.0, "rope_type": "default"}},
                        {"dtype": torch.bfloat16}),
    "rope_linear": ({**BASE, "rope_scaling": {"type": "linear", "factor": 4.0}}, {"dtype": torch.bfloat16}),
    "rope_llama3": ({**BASE, "head_dim": 8, "rope_scaling": LLAMA3}, {"dtype": torch.bfloat16}),
    "rope_llama3_parameters": ({**without("rope_theta"), "head_dim": 8,
                                "rope_parameters": {**LLAMA3, "rope_theta": 500.0}}, {"dtype": torch.bfloat16}),
    "inv_freq_buffers": (BASE, {"extra": inv_freq, "dtype": torch.float16}),
    "fp16": (BASE, {"dtype": torch.float16}),
    "bf16": (BASE, {"dtype": torch.bfloat16}),
    "sharded": (BASE, {"dtype": torch.bfloat16, "shard_size": "4KB"}),
}

README = """Logits of Llama checkpoints by HF transformers; core/model/parity_test.cc compares ours with them.

Made by tests/oracle/llama_goldens.py with transformers {transformers}, torch {torch}, safetensors {safetensors}
(scaled_dot_product_attention). Each directory is a whole checkpoint with random weights, and expected.safetensors:

- `ids` [B, T]
- `logits_fp32` [B, T, V]: the weights loaded as fp32
- `logits_fp64`: loaded as fp64, and computed so throughout. HF's code casts to torch.float32 inside every RMSNorm and for the
  rotary angles even then; here the same code runs with float32 meaning float64 (hf_llama.py), because a result with 1e-7 inside
  can show no agreement of 1e-10. HF's untouched code is up to {untouched:.1e} away from it.

`shared/` holds the same for the checkpoints in ../shared/models (which are not here), of 64 tokens and 32 rows of the
vocabulary (`columns`).
"""


def write_variation(index, name):
    config, storage = VARIATIONS[name]
    directory = OUT / name
    hf_llama.write_checkpoint(directory, config, seed=index, **storage)
    ids_BT = torch.randint(48, (1, 16), generator=torch.Generator().manual_seed(1000 + index))
    golden = hf_llama.expected(directory, ids_BT)
    save_file(golden, directory / "expected.safetensors")
    return hf_llama.distance_of_untouched_fp64(directory, golden)


def write_shared(name, text):
    model = SHARED / "models" / name
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    ids = [1] + tokenizer.encode((SHARED / "data/corpora" / text).read_text()[:4000])[:63]
    expected = hf_llama.expected(model, torch.tensor([ids]))
    vocabulary = expected["logits_fp32"].shape[-1]
    columns = torch.arange(0, vocabulary, vocabulary // 32)
    kept = {key: value[..., columns].contiguous() for key, value in expected.items() if key.startswith("logits")}
    directory = OUT / "shared" / name
    directory.mkdir(parents=True)
    save_file({**expected, **kept, "columns": columns}, directory / "expected.safetensors")


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    untouched = max(write_variation(index, name) for index, name in enumerate(VARIATIONS))
    write_shared("kjv-mha", "tinyshakespeare.txt")
    write_shared("books-mha", "books_valid.txt")
    (OUT / "README.md").write_text(README.format(transformers=transformers.__version__, torch=torch.__version__,
                                               safetensors=safetensors.__version__, untouched=untouched))
