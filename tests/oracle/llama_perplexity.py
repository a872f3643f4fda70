#!/usr/bin/env python3
"""Compares `regroup eval --convention llama.cpp` with llama.cpp on the same model, exported in fp32: llama.cpp's library, with its
own tokenizer, run through the loop of llama-perplexity (tools/perplexity/perplexity.cpp: perplexity() and process_logits()), and,
with --tree, what that program prints. Prints a line a model; exit code 1 beyond --tolerance (relative) or where tokens differ.

    python -m venv peer && peer/bin/pip install cyllama==0.2.18 numpy
    cmake --build --preset release --target regroup
    peer/bin/python tests/oracle/llama_perplexity.py MODEL... --data TEXT --window 256 [--tree LLAMA_CPP]

TEXT is one document without line ends at its ends: llama-perplexity knows no documents. llama_cpp.py says how to get LLAMA_CPP.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from cyllama.llama import llama_cpp

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Model(llama_cpp.LlamaModel):
    """cyllama 0.2.18's get_logits_ith() asks its model for this, which it has not."""

    @property
    def n_vocab(self):
        return self.get_vocab().n_vocab


class Peer:
    def __init__(self, gguf, window):
        self.model = Model(str(gguf), verbose=False)
        parameters = llama_cpp.LlamaContextParams()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = window
        parameters.type_k = parameters.type_v = 0  # GGML_TYPE_F32
        parameters.flash_attn_type = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.n_threads = parameters.n_threads_batch = 2
        self.context = llama_cpp.LlamaContext(self.model, parameters, verbose=False)
        self.vocabulary = self.model.get_vocab()
        self.window = window

    def tokenize(self, text):
        return list(self.vocabulary.tokenize(text, True, False))

    def scored_nats(self, block):
        """Of the second half of a block, its first token replaced by BOS where the model wants one."""
        first = self.window // 2
        if self.vocabulary.get_add_bos():
            block = [self.vocabulary.token_bos(), *block[1:]]
        self.context.kv_cache_clear()
        batch = llama_cpp.LlamaBatch(n_tokens=self.window, embd=0, n_seq_max=1)
        for position, token in enumerate(block):
            batch.add(token, position, [0], position >= first)
        self.context.decode(batch)
        nats = []
        for position in range(first, self.window - 1):
            logits = numpy.asarray(self.context.get_logits_ith(position), dtype=numpy.float64)
            top = logits.max()
            nats.append(top + numpy.log(numpy.exp(logits - top).sum()) - logits[block[position + 1]])
        batch.close()
        return nats

    def perplexity(self, ids):
        blocks = (ids[begin:begin + self.window] for begin in range(0, len(ids) - self.window + 1, self.window))
        nats = [each for block in blocks for each in self.scored_nats(block)]
        return float(numpy.exp(numpy.mean(nats))), len(nats)


def run(program, *words):
    result = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"regroup {' '.join(map(str, words))}: {result.stderr}")


def compare(model, arguments, scratch):
    gguf, report = scratch / f"{model.name}.gguf", scratch / "report.json"
    program = arguments.build / "regroup"
    run(program, "export", model, gguf, "--dtype", "fp32", "--overwrite", "--quiet")
    run(program, "eval", model, "--data", arguments.data, "--window", arguments.window, "--convention", "llama.cpp", "--json", report,
        "--overwrite", "--quiet")
    found = json.loads(report.read_text())
    ours, tokens = found["models"][0]["perplexity"]["value"], found["data"]["stream_tokens"]
    peer = Peer(gguf, arguments.window)
    ids = peer.tokenize(arguments.data.read_text())
    theirs, scored = peer.perplexity(ids)
    passed = abs(ours / theirs - 1) < arguments.tolerance and len(ids) == tokens and scored == found["data"]["scored_tokens"]
    print(f"{'ok  ' if passed else 'FAIL'} {model.name}: {tokens} tokens here, {len(ids)} there; {scored} scored; "
          f"perplexity {ours:.6f} here, {theirs:.6f} by llama.cpp: {ours / theirs - 1:+.1e}")
    if arguments.tree:
        from llama_cpp import LlamaCpp
        printed = LlamaCpp(arguments.tree).perplexity(gguf, arguments.data, arguments.window)
        passed &= abs(ours / printed - 1) < arguments.tolerance
        print(f"     llama-perplexity prints {printed:.4f}: {ours / printed - 1:+.1e}")
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--tree", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        passed = [compare(model, arguments, pathlib.Path(scratch)) for model in arguments.models]
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
