#!/usr/bin/env python3
"""Makes tests/goldens/export: tiny random checkpoints, and the GGUF files that llama.cpp's own converter makes of them.

    python tests/oracle/export_goldens.py LLAMA_CPP [NAME…]

LLAMA_CPP is a source tree of llama.cpp (the sdist of llama-cpp-python has one in vendor/). Its converter is a reference for
checkpoints whose family it knows to have few key/value heads; the others are compared by what llama.cpp computes
(export_parity.py).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version

import sentencepiece
import torch

import export_models

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/goldens/export"

# name: (variation of export_models, weights' type, type of the GGUF)
GOLDENS = {
    "llama_gqa": ("llama_gqa", torch.float32, "q8_0"),
    "llama_tied": ("llama_tied", torch.bfloat16, "f32"),
    "llama_llama3": ("llama_llama3", torch.float16, "f16"),
}


TEXT = "In the beginning God created the heaven and the earth. And the earth was without form, and void;\n"


def train_tokenizer():
    """Shorter than the models' vocabulary, which is filled up."""
    OUT.mkdir(parents=True, exist_ok=True)
    with open(export_models.SENTENCEPIECE, "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([TEXT] * 4), model_writer=file, model_type="bpe", vocab_size=60, character_coverage=1.0,
            normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2)
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
              "add_bos_token": True}
    (OUT / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def convert(llama_cpp, directory, outtype, out):
    environment = os.environ | {"PYTHONPATH": str(llama_cpp / "gguf-py")}
    subprocess.run([sys.executable, llama_cpp / "convert_hf_to_gguf.py", directory, "--outtype", outtype, "--outfile", out],
                   check=True, env=environment, stderr=subprocess.DEVNULL)


def main():
    llama_cpp = pathlib.Path(sys.argv[1])
    if not export_models.SENTENCEPIECE.exists():
        train_tokenizer()
    for name in sys.argv[2:] or GOLDENS:
        variation, dtype, outtype = GOLDENS[name]
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory() as directory:
            model = pathlib.Path(directory) / "model"
            export_models.write(variation, model, dtype)
            convert(llama_cpp, model, outtype, pathlib.Path(directory) / "expected.gguf")
            folder.mkdir(parents=True)
            for file in ("model/config.json", "model/model.safetensors", "expected.gguf"):
                shutil.copyfile(f"{directory}/{file}", folder / pathlib.Path(file).name)
    record = {
        "made_by": "tests/oracle/export_goldens.py",
        "versions": {name: version(name) for name in ("gguf", "torch", "transformers")}
        | {"llama.cpp": "vendored in llama-cpp-python 0.3.36 (ggml 0.25.3)"},
        "dtypes": {name: {"f32": "fp32", "f16": "fp16"}.get(golden[2], golden[2]) for name, golden in GOLDENS.items()},
    }
    (OUT / "provenance.json").write_text(json.dumps(record, indent=2) + "\n")


main()
