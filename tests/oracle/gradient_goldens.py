#!/usr/bin/env python3
"""Writes tests/goldens/gradients.json: of every parameter of the checkpoints in tests/goldens/families, the gradient that HF transformers
finds in float64 for the mean next-token cross-entropy of the ids in expected.safetensors: its norm, and its product with cos(0), cos(1), …
in the order of memory, which tells where a number stands. Experts, which HF merges, are told apart as in the files.

    .venv/bin/pip install transformers==5.24.0 safetensors
    .venv/bin/python tests/oracle/gradient_goldens.py
"""
import json
import pathlib

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Frequencies that change with the length of the text: a text of one token less is another one.
LEFT_OUT = ("llama-dynamic", "phi3-longrope")


def as_in_files(name, gradient):
    """HF's merged experts one by one; anything else as it is."""
    if name.endswith("experts.gate_up_proj"):
        for expert, both in enumerate(gradient):
            for part, half in zip(("gate_proj", "up_proj"), both.chunk(2)):
                yield name.replace("gate_up_proj", f"{expert}.{part}.weight"), half
    elif name.endswith("experts.down_proj"):
        for expert, one in enumerate(gradient):
            yield name.replace("down_proj", f"{expert}.down_proj.weight"), one
    else:
        yield name, gradient


def gradients(directory):
    ids_BT = load_file(directory / "expected.safetensors")["ids"]
    cls = getattr(transformers, json.loads((directory / "config.json").read_text())["architectures"][0])
    attention = "sdpa" if cls.__name__ == "FalconForCausalLM" else "eager"
    model = cls.from_pretrained(directory, dtype=torch.float64, attn_implementation=attention,
                                experts_implementation="eager").eval()
    model.get_input_embeddings().padding_idx = None  # HF never trains that row
    logits = model(ids_BT).logits[:, :-1]
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids_BT[:, 1:].flatten()).backward()
    with safe_open(directory / "model.safetensors", "pt") as stored:
        names = set(stored.keys())
    found = {}
    parameters = ((name, part) for full, parameter in model.named_parameters()
                  for name, part in as_in_files(full, parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)))
    for name, gradient in parameters:
        spellings = (name, name.removeprefix("transformer."), name.removeprefix("model."), name.replace("lm_head", "embed_out"))
        stored_name = next((spelling for spelling in spellings if spelling in names), None)
        if stored_name is None:
            continue
        gradient = gradient.flatten()
        numbers = gradient.norm(), gradient @ torch.arange(len(gradient)).double().cos()
        found[stored_name] = [float(format(number.item(), ".8g")) for number in numbers]
    return found


if __name__ == "__main__":
    goldens = {"made_with": f"tests/oracle/gradient_goldens.py, transformers {transformers.__version__}, torch {torch.__version__}"}
    for directory in sorted((ROOT / "tests/goldens/families").iterdir()):
        if directory.is_dir() and not directory.name.startswith(LEFT_OUT):
            goldens[directory.name] = gradients(directory)
            print(directory.name, len(goldens[directory.name]), flush=True)
    text = json.dumps(goldens, separators=(",", ":")).replace("},", "},\n")
    (ROOT / "tests/goldens/gradients.json").write_text(text + "\n")
