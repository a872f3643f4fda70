#!/usr/bin/env python3
"""Writes the seeds of two fuzz targets, tests/fuzz/corpus/tokenizer_model and tokenizer_pair.

    .venv/bin/pip install sentencepiece
    .venv/bin/python tests/oracle/tokenizer_seeds.py
"""
import io
import json
import pathlib

import sentencepiece

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "fuzz/corpus"
TEXT = ["the cat sat on the mat", "a cat and a hat", "that is that", "1234 5678 can't", "the end"] * 20
SEPARATOR = "\x1e"  # of the files of a pair


def train(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=model, minloglevel=2, **options)
    return model.getvalue()


def write_models(folder):
    plain = {"vocab_size": 40, "normalization_rule_name": "identity"}
    bpe = train(model_type="bpe", **plain)
    (folder / "bpe").write_bytes(bpe)
    (folder / "unigram").write_bytes(train(model_type="unigram", **{**plain, "vocab_size": 30}))
    (folder / "no_prefix").write_bytes(train(model_type="bpe", add_dummy_prefix=False, **plain))
    (folder / "crossing").write_bytes(train(model_type="bpe", split_by_whitespace=False, **plain))
    (folder / "words").write_bytes(train(model_type="word", vocab_size=12, normalization_rule_name="identity"))
    (folder / "cut_off").write_bytes(bpe[: len(bpe) // 2])


def write_pairs(folder):
    vocabulary = {"<|endoftext|>": 0, "T": 1, "h": 2, "e": 3, "Ġ": 4, "c": 5, "a": 6, "n": 7, "he": 8, "The": 9, "Ġc": 10}
    merges = "#version: 0.2\nh e\nT he\nĠ c\n"
    config = {"tokenizer_class": "GPT2Tokenizer", "unk_token": "<|endoftext|>", "add_bos_token": True,
              "added_tokens_decoder": {"11": {"content": "\n\n", "special": False}}}
    parts = {"gpt2": [json.dumps(vocabulary), merges, ""],
             "configured": [json.dumps(vocabulary), merges, json.dumps(config)],
             "qwen2": [json.dumps(vocabulary), merges, json.dumps({"tokenizer_class": "Qwen2Tokenizer"})],
             "unknown_class": [json.dumps(vocabulary), merges, json.dumps({"tokenizer_class": "BertTokenizer"})],
             "lying_merges": [json.dumps(vocabulary), merges + "q q\nh\nx y z\n", ""],
             "hole": [json.dumps({"a": 0, "b": 7}), "a b\n", ""],
             "no_object": ["[1, 2]", merges, ""]}
    for name, files in parts.items():
        (folder / name).write_text(SEPARATOR.join(files))


if __name__ == "__main__":
    for name, write in (("tokenizer_model", write_models), ("tokenizer_pair", write_pairs)):
        (CORPUS / name).mkdir(exist_ok=True)  # some seeds were found by fuzzing
        write(CORPUS / name)
