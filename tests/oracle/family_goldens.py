#!/usr/bin/env python3
"""Writes tests/goldens/families: a tiny checkpoint of every family and variation, and its logits by HF transformers.

    .venv/bin/pip install transformers==5.23.0 safetensors
    .venv/bin/python tests/oracle/family_goldens.py
"""
import pathlib
import shutil
import zlib

from safetensors.torch import save_file

import hf_families

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "goldens/families"

if __name__ == "__main__":
    for family, variation in hf_families.variations():
        number = zlib.crc32(f"{family}-{variation}".encode())
        directory = GOLDENS / f"{family}-{variation}"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        hf_families.write_checkpoint(directory, family, variation, seed=number)
        ids_BT = hf_families.ids(number)
        save_file({"ids": ids_BT, "logits_fp32": hf_families.logits(directory, ids_BT)}, directory / "expected.safetensors")
        print(directory.name, flush=True)
