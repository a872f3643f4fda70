#!/usr/bin/env python3
"""Writes the seeds of two fuzz targets: tests/fuzz/corpus/config, two configurations of every family as the goldens have them and some that lie,
and tests/fuzz/corpus/text_file, texts plain and under gzip, each behind the byte that chooses its format.

    python3 tests/oracle/fuzz_seeds.py
"""
import gzip
import itertools
import json
import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS, GOLDENS = ROOT / "tests/fuzz/corpus", ROOT / "tests/goldens/families"
TEXT, JSONL, AUTO = b"\0", b"\1", b"\2"  # the order of formats_to_read() in tests/fuzz/data_formats.h


def packed(text):
    return gzip.compress(text, mtime=0)


def write_configs(folder):
    goldens = sorted(file.parent for file in GOLDENS.glob("*/config.json"))
    for _, directories in itertools.groupby(goldens, key=lambda directory: directory.name.split("-")[0]):
        for directory in list(directories)[:2]:
            config = json.loads((directory / "config.json").read_text())
            (folder / directory.name).write_text(json.dumps(config, separators=(",", ":")))
    changes = {"null": ("falcon-rw", {"new_decoder_architecture": None}),
               "qwen2_moe-countless": ("qwen2_moe-plain", {"num_hidden_layers": 1024, "num_experts": 4096,
                                                           "max_position_embeddings": 2147483647}),
               "gpt_neo-repetitions_of_nothing": ("gpt_neo-plain", {"attention_types": [[[], 10**18]]}),
               "phi3-longrope_of_one": ("phi3-longrope_long", {"original_max_position_embeddings": 1}),
               "llama-yarn": ("llama-yarn", {}),
               "llama-yarn_of_one": ("llama-yarn", {"rope_scaling": {"type": "yarn", "factor": 4, "rope_theta": 1}}),
               "llama-dynamic_of_less": ("llama-dynamic", {"rope_scaling": {"type": "dynamic", "factor": 0.001}})}
    for name, (golden, changed) in changes.items():
        config = json.loads((GOLDENS / golden / "config.json").read_text())
        (folder / name).write_text(json.dumps({**config, **changed}, separators=(",", ":")))


def write_texts(folder):
    text = "In the beginning\n<|endoftext|>\r\nGod\r\n".encode()
    lines = b'{"text": "In the\\nbeginning"}\n\n{"id": 1, "text": "God"}\n'
    both = packed(text) + packed(b"") + packed(b"created")
    files = {"plain": TEXT + text, "byte_order_mark": TEXT + b"\xef\xbb\xbf" + text, "no_utf8": TEXT + text + b"\xff",
             "packed": TEXT + packed(text), "members": AUTO + both, "padded": TEXT + both + bytes(9), "followed": TEXT + both + text,
             "cut_off": TEXT + both[:-5], "damaged": TEXT + both[:20] + b"\x55" + both[21:], "long": TEXT + packed(b"a" * (1 << 17)),
             "jsonl": JSONL + lines, "jsonl_packed": AUTO + packed(lines), "no_document": JSONL + b'{"text": 1}\n'}
    for name, content in files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    for name, write in (("config", write_configs), ("text_file", write_texts)):
        shutil.rmtree(CORPUS / name, ignore_errors=True)
        (CORPUS / name).mkdir()
        write(CORPUS / name)
