#!/usr/bin/env python3
"""Compares `regroup eval --per-token` with HF transformers, token by token: the same text, the default convention (disjoint
windows, targets shifted by one). Prints one line a model; exit code 1 beyond --tolerance.

    .venv/bin/pip install transformers==5.23.0 sentencepiece numpy
    build/release/regroup eval MODEL... --data TEXT --window 256 --per-token nats.npy
    .venv/bin/python tests/oracle/eval_parity.py MODEL... --data TEXT --window 256 --per-token nats.npy

With --golden FILE it writes HF's values for the first model there instead (tests/goldens/eval).
"""
import argparse
import json
import pathlib
import re
import sys

import numpy
import sentencepiece
import torch
import transformers


def read_documents(file):
    text = file.read_bytes().decode("utf-8")
    documents = (document.strip("\r\n") for document in re.split(r"^<\|endoftext\|>\r?$", text, flags=re.MULTILINE))
    return [document for document in documents if document]


def read_tokens(model, files, bos):
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    ids = []
    for file in files:
        for document in read_documents(file):
            ids += ([tokenizer.bos_id()] if bos else []) + tokenizer.encode(document)
    return ids


def nats_of(directory, ids, window, dtype):
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).eval()
    parts = []
    with torch.no_grad():
        for begin in range(0, len(ids) - 1, window):
            end = min(begin + window, len(ids) - 1)
            logits = model(torch.tensor([ids[begin:end]])).logits[0].double()
            targets = torch.tensor(ids[begin + 1:end + 1])
            parts.append(torch.nn.functional.cross_entropy(logits, targets, reduction="none"))
    return torch.cat(parts).numpy()


def write_golden(path, arguments, ids, nats):
    path.write_text(json.dumps({
        "made_by": "tests/oracle/eval_parity.py " + " ".join(sys.argv[1:]),
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__,
                     "sentencepiece": sentencepiece.__version__},
        "window": arguments.window,
        "ids": ids,
        "nats": [round(float(value), 6) for value in nats],
    }) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--data", nargs="+", type=pathlib.Path, required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--max-tokens", type=int, default=0)
    parser.add_argument("--no-bos", action="store_true")
    parser.add_argument("--per-token", type=pathlib.Path)
    parser.add_argument("--golden", type=pathlib.Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    arguments = parser.parse_args()

    ids = read_tokens(arguments.models[0], arguments.data, not arguments.no_bos)
    if arguments.max_tokens:
        ids = ids[:arguments.max_tokens + 1]
    dtype = getattr(torch, arguments.dtype)
    if arguments.golden:
        write_golden(arguments.golden, arguments, ids, nats_of(arguments.models[0], ids, arguments.window, dtype))
        return 0
    ours = numpy.load(arguments.per_token)
    assert ours.shape == (len(arguments.models), len(ids) - 1), (ours.shape, len(ids) - 1)
    worst = 0.0
    for directory, row in zip(arguments.models, ours):
        theirs = nats_of(directory, ids, arguments.window, dtype)
        difference = float(numpy.abs(row - theirs).max())
        worst = max(worst, difference)
        print(f"{directory.name}: {len(theirs)} tokens, mean {row.mean():.6f} (HF {theirs.mean():.6f}), "
              f"largest difference of a token {difference:.2e}")
    return 0 if worst <= arguments.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
