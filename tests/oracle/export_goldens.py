#!/usr/bin/env python3
"""Makes tests/goldens/export: the GGUF files that llama.cpp's own converter makes of tiny random checkpoints, some of them in
tests/goldens/families, some here.

    python tests/oracle/export_goldens.py LLAMA_CPP [NAME…]

LLAMA_CPP is a source tree of llama.cpp (llama_cpp.py says where to get one). All share one small SentencePiece tokenizer, whatever
tokenizer their family has: the converter is told so.
"""
import json
import logging
import pathlib
import shutil
import sys
import tempfile
from importlib.metadata import version

import sentencepiece
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/goldens/export"
FAMILIES = ROOT / "tests/goldens/families"

# The checkpoints that are here: configuration, type of the weights.
LLAMA = dict(vocab_size=72, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LINEAR = dict(rope_type="linear", rope_theta=1e4, factor=2.0)
HERE = {
    "llama_gqa": (LLAMA | dict(attention_bias=True, mlp_bias=True), torch.float32),
    "llama_tied": (LLAMA | dict(num_key_value_heads=1, tie_word_embeddings=True, head_dim=12, rope_parameters=LINEAR),
                   torch.bfloat16),
    "llama_llama3": (LLAMA | dict(rope_parameters=LLAMA3), torch.float16),
}
# Golden: type of the GGUF.
TYPES = {"llama_gqa": "q8_0", "llama_tied": "f32", "llama_llama3": "f16"} | dict.fromkeys((
    "qwen2-gqa", "phi-plain", "phi3-gqa", "phi3-longrope_long", "stablelm-biased", "stablelm-parallel", "gemma-plain", "olmo-clipped",
    "olmo2-gqa", "cohere-plain", "gpt2-plain", "gpt_bigcode-plain", "gpt_neox-plain", "gpt_neox-sequential", "bloom-six_heads",
    "mpt-clipped", "starcoder2-plain"), "f32")
DTYPES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "q8_0": "q8_0"}

TEXT = "In the beginning God created the heaven and the earth. And the earth was without form, and void;\n"


def train_tokenizer():
    """Shorter than the Llamas' vocabulary, which is filled up; longer than the others', for which it is cut."""
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / "tokenizer.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([TEXT] * 4), model_writer=file, model_type="bpe", vocab_size=60, character_coverage=1.0,
            normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2)
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
              "add_bos_token": True}
    (OUT / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_llama(name):
    """Weights large enough for every part to show; HF's initialization hides biases and norms."""
    settings, dtype = HERE[name]
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))
    generator = torch.Generator().manual_seed(sum(name.encode()))
    for parameter_name, parameter in model.named_parameters():
        noise = 0.2 * torch.randn(parameter.shape, generator=generator)
        parameter.data = 1 + noise if "norm" in parameter_name else noise
    model.to(dtype).save_pretrained(OUT / name)
    (OUT / name / "generation_config.json").unlink(missing_ok=True)


def put_right(directory):
    """What the converter wants to read in config.json: older spellings, and the ids of the tokenizer that is there."""
    file = directory / "config.json"
    config = json.loads(file.read_text()) | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    if config["architectures"] == ["MptForCausalLM"]:
        config["architectures"] = ["MPTForCausalLM"]
    if config["architectures"] == ["GPT2LMHeadModel"]:
        config["n_ctx"] = config["n_positions"]
    file.write_text(json.dumps(config))


def convert(directory, outtype, out):
    """What convert_hf_to_gguf.py does, with the tokenizer that is there."""
    import gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    logging.disable(logging.CRITICAL)
    hparams = ModelBase.load_hparams(directory, False)
    cls = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    cls.set_vocab = lambda self: self._set_vocab_sentencepiece()
    types = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
    with torch.inference_mode():
        model = cls(directory, gguf.LlamaFileType[types[outtype]], out)
        if hparams["model_type"] == "gpt_neox":
            model.hparams["rotary_pct"] = hparams["rope_parameters"]["partial_rotary_factor"]
        model.write()


def main():
    llama_cpp = pathlib.Path(sys.argv[1])
    sys.path[:0] = [str(llama_cpp / "gguf-py"), str(llama_cpp)]
    if not (OUT / "tokenizer.model").exists():
        train_tokenizer()
    for name in sys.argv[2:] or TYPES:
        if name in HERE:
            write_llama(name)
        with tempfile.TemporaryDirectory() as scratch:
            model = pathlib.Path(scratch) / "model"
            shutil.copytree(OUT / name if name in HERE else FAMILIES / name, model)
            for file in ("tokenizer.model", "tokenizer_config.json"):
                shutil.copyfile(OUT / file, model / file)
            put_right(model)
            convert(model, TYPES[name], OUT / f"{name}.gguf")
        print(name, flush=True)
    record = {
        "made_by": "tests/oracle/export_goldens.py",
        "versions": {name: version(name) for name in ("gguf", "torch", "transformers", "sentencepiece")}
        | {"llama.cpp": "vendored in llama-cpp-python 0.3.36 (ggml 0.25.3)"},
        "dtypes": {name: DTYPES[kind] for name, kind in TYPES.items()},
    }
    (OUT / "provenance.json").write_text(json.dumps(record, indent=2) + "\n")


main()
