"""Random Llama checkpoints and their logits by HF transformers: what llama_goldens.py and llama_parity.py share."""
import contextlib
import json
import pathlib

import torch
import transformers.modeling_rope_utils as rope_utils
import transformers.models.llama.modeling_llama as modeling
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM


class _TorchInFloat64:
    """The torch module, in which float32 means float64."""

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@contextlib.contextmanager
def float32_means_float64():
    """Within, HF's own code computes in fp64 what it otherwise computes in fp32 whatever the weights are: norms and angles."""
    modeling.torch = rope_utils.torch = _TorchInFloat64()
    try:
        yield
    finally:
        modeling.torch = rope_utils.torch = torch


def logits(directory, ids_BT, dtype):
    model = LlamaForCausalLM.from_pretrained(directory, dtype=dtype, attn_implementation="sdpa").eval()
    with torch.no_grad():
        return model(ids_BT).logits.contiguous()


def expected(directory, ids_BT):
    """What the README of tests/goldens/llama describes."""
    with float32_means_float64():
        fp64 = logits(directory, ids_BT, torch.float64)
    return {"ids": ids_BT, "logits_fp32": logits(directory, ids_BT, torch.float32), "logits_fp64": fp64}


def distance_of_untouched_fp64(directory, golden):
    return (logits(directory, golden["ids"], torch.float64) - golden["logits_fp64"]).abs().max().item()


def random_model(config, seed):
    """Weights large enough for every part to show in the logits; HF's initialization hides biases and norms."""
    generator = torch.Generator().manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in config.items() if k != "architectures"}))
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        parameter.data = 1 + 0.2 * values if "norm" in name else 0.3 * values
    return model


def write_checkpoint(directory, config, seed, dtype=torch.float32, shard_size="50GB", extra=None):
    """A checkpoint whose config.json is `config` to the letter. `extra` maps the tensors to more tensors of the file."""
    directory = pathlib.Path(directory)
    random_model(config, seed).to(dtype).save_pretrained(directory, max_shard_size=shard_size)
    for file in ("generation_config.json", "config.json"):
        (directory / file).unlink(missing_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if extra:
        tensors = load_file(directory / "model.safetensors")
        save_file({**tensors, **extra(tensors)}, directory / "model.safetensors", {"format": "pt"})
