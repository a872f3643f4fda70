"""Tiny random checkpoints of every architecture that `regroup export` writes: what export_goldens.py and export_parity.py
share. Each variation changes something that the GGUF file or llama.cpp's graph must follow."""
import pathlib
import shutil

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SENTENCEPIECE = ROOT / "tests/goldens/export/tokenizer.model"
VOCABULARY = 72

LLAMA = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=4, max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)

# name: (transformers configuration, its values)
VARIATIONS = {
    "llama_mha": ("LlamaConfig", LLAMA),
    "llama_gqa": ("LlamaConfig", LLAMA | dict(num_key_value_heads=2, attention_bias=True, mlp_bias=True)),
    "llama_tied": ("LlamaConfig", LLAMA | dict(num_key_value_heads=1, tie_word_embeddings=True, head_dim=12,
                                               rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=2.0))),
    "llama_llama3": ("LlamaConfig", LLAMA | dict(num_key_value_heads=2, rope_parameters=LLAMA3)),
}

# Relative difference of perplexity where llama.cpp's graph is another function; see docs/export.md.
TOLERANCES = {}
# With fewer key/value heads: what no class of HF's holds.
NOT_LOADED_BY_HF = set()


def random_model(variation):
    """Weights large enough for every part to show in the logits; HF's initialization hides biases and norms."""
    kind, values = VARIATIONS[variation]
    config = getattr(transformers, kind)(**values)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(sum(variation.encode()))
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = 1 + 0.2 * noise if "norm" in name and not name.endswith("bias") else 0.2 * noise
    return model


def write(variation, directory, dtype=torch.float32):
    random_model(variation).to(dtype).save_pretrained(directory)
    for file in (SENTENCEPIECE, SENTENCEPIECE.with_name("tokenizer_config.json")):
        shutil.copyfile(file, pathlib.Path(directory) / file.name)
