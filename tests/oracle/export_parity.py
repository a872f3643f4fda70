#!/usr/bin/env python3
"""Compares what llama.cpp computes from our GGUF files with HF transformers and with `regroup eval`. One line each; exit code 1
beyond 0.1% of perplexity (fp32).

    python tests/oracle/export_parity.py LLAMA_CPP [--regroup build/release/regroup] [NAME…]

1. Every variation of export_models.py, tiny and random, as it is and with fewer key/value heads: logits on random ids.
2. The checkpoints in ../shared/models and a conversion of each: tokens, perplexity on the same windows as `regroup eval`, and
   llama-perplexity's own figure.
3. Every type: Q8_0 equals what the `gguf` package makes of the same numbers, to the bit.
llama_cpp.py says how to get LLAMA_CPP.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy
import sentencepiece
import torch
import transformers

import export_models
from llama_cpp import LlamaCpp

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
TOLERANCE = 1e-3


def nats(logits_BTV, ids_BT):
    logits = torch.as_tensor(logits_BTV)[:, :-1].double()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.as_tensor(ids_BT)[:, 1:].flatten().long()).item()


class Parity:
    def __init__(self, arguments):
        self.regroup, self.llama_cpp = arguments.regroup, LlamaCpp(arguments.llama_cpp)
        self.failures = 0

    def run(self, *words):
        result = subprocess.run([self.regroup, *map(str, words), "--quiet"], capture_output=True, text=True)
        if result.returncode != 0:
            raise SystemExit(f"regroup {' '.join(map(str, words))}: {result.stderr}")
        return result.stdout

    def export(self, model, scratch, dtype="fp32"):
        path = pathlib.Path(scratch) / f"{dtype}.gguf"
        self.run("export", model, path, "--dtype", dtype, "--overwrite")
        return path

    def say(self, name, passed, text):
        self.failures += not passed
        print(f"{'ok  ' if passed else 'FAIL'} {name:32} {text}", flush=True)

    def random_model(self, name, model, directory, scratch, tolerance=TOLERANCE):
        length = min(64, model.config.max_position_embeddings)
        ids = numpy.random.default_rng(0).integers(3, export_models.VOCABULARY - 12, (4, length))
        with torch.no_grad():
            theirs = model(torch.tensor(ids)).logits.float().numpy()
        ours = self.llama_cpp.logits(self.export(directory, scratch), ids, scratch)
        ratio = numpy.exp(nats(ours, ids) - nats(theirs, ids)) - 1
        worst = numpy.abs(ours - theirs).max()
        self.say(name, abs(ratio) < tolerance,
                 f"perplexity {ratio:+.1e}, logits within {worst:.1e} of a spread of {theirs.std():.2f}")

    def variation(self, name):
        with tempfile.TemporaryDirectory() as scratch:
            source = pathlib.Path(scratch) / "source"
            export_models.write(name, source)
            tolerance = export_models.TOLERANCES.get(name, TOLERANCE)
            self.random_model(name, export_models.random_model(name), source, scratch, tolerance)
            heads = json.loads(self.run("inspect", source, "--json"))["kv_heads"]
            if heads == 1:
                return
            fewer, converted = heads // 2, pathlib.Path(scratch) / "converted"
            self.run("convert", source, converted, "--kv-heads", fewer, "--method", "mean")
            if name not in export_models.NOT_LOADED_BY_HF:
                model = transformers.AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32).eval()
                self.random_model(f"{name} {heads} -> {fewer}", model, converted, scratch, tolerance)

    def trained(self, name, text, window):
        with tempfile.TemporaryDirectory() as scratch:
            source, converted = SHARED / "models" / name, pathlib.Path(scratch) / "converted"
            self.run("convert", source, converted, "--kv-heads", 2)
            text_file = pathlib.Path(scratch) / "text.txt"
            text_file.write_text(text)
            for directory, label in ((source, name), (converted, f"{name} 8 -> 2")):
                self.trained_model(directory, label, text_file, window, scratch)

    def trained_model(self, directory, name, text_file, window, scratch):
        file = self.export(directory, scratch)
        tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
        ids = [tokenizer.bos_id()] + tokenizer.encode(text_file.read_text())
        same = self.llama_cpp.tokenize(file, text_file) == ids
        self.say(name, same, f"{len(ids)} tokens, {'the same' if same else 'NOT the same'} by llama-tokenize")

        per_token = pathlib.Path(scratch) / "nats.npy"
        self.run("eval", directory, "--data", text_file, "--window", window, "--per-token", per_token, "--dtype", "fp32", "--overwrite")
        ours = numpy.load(per_token).reshape(-1)
        rows = (len(ids) - 1) // window
        inputs = numpy.array(ids[:rows * window]).reshape(rows, window)
        logits = torch.as_tensor(self.llama_cpp.logits(file, inputs, scratch)).double()
        targets = torch.tensor(ids[1:rows * window + 1])
        theirs = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets, reduction="none").numpy()
        ours = ours[:len(theirs)]
        ratio = numpy.exp(theirs.mean() - ours.mean()) - 1
        self.say(name, abs(ratio) < TOLERANCE,
                 f"perplexity {numpy.exp(theirs.mean()):.4f} by llama.cpp, {numpy.exp(ours.mean()):.4f} by regroup eval: "
                 f"{ratio:+.1e}; a token within {numpy.abs(theirs - ours).max():.1e} nats")
        printed, expected = self.llama_cpp.perplexity(file, text_file, window), self.as_llama_perplexity(directory, ids, window)
        self.say(name, abs(printed / expected - 1) < TOLERANCE,
                 f"llama-perplexity prints {printed:.4f}; HF by its convention {expected:.4f}: {printed / expected - 1:+.1e}")

    @staticmethod
    def as_llama_perplexity(directory, ids, window):
        """Disjoint windows, the first token of each replaced by BOS, the second half of each scored."""
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        parts = []
        for begin in range(0, len(ids) // window * window, window):
            row = torch.tensor([ids[begin:begin + window]])
            row[0, 0] = ids[0]
            with torch.no_grad():
                logits = model(row).logits[0].double()
            parts.append(torch.nn.functional.cross_entropy(logits[window // 2:-1], row[0, window // 2 + 1:], reduction="none"))
        return torch.cat(parts).mean().exp().item()

    def types(self, directory):
        with tempfile.TemporaryDirectory() as scratch:
            exact = {tensor.name: tensor for tensor in gguf.GGUFReader(self.export(directory, scratch)).tensors}
            for dtype, kind in (("fp16", "F16"), ("bf16", "BF16"), ("q8_0", "Q8_0")):
                different = []
                tensors = gguf.GGUFReader(self.export(directory, scratch, dtype)).tensors
                for tensor in tensors:
                    numbers = gguf.quants.dequantize(exact[tensor.name].data, exact[tensor.name].tensor_type)
                    if not numpy.array_equal(gguf.quants.quantize(numbers, tensor.tensor_type), tensor.data):
                        different.append(tensor.name)
                kinds = {tensor.tensor_type.name for tensor in tensors}
                self.say(f"{directory.name} {dtype}", not different and kinds == {kind, "F32"},
                         f"{len(tensors)} tensors, {len(different)} differ from the gguf package's")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_cpp", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="variations, shared, types (default: all)")
    parser.add_argument("--regroup", type=pathlib.Path, default=ROOT / "build/release/regroup")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    parity = Parity(arguments)
    names = arguments.names or [*export_models.VARIATIONS, "shared", "types"]
    for name in names:
        if name in export_models.VARIATIONS:
            parity.variation(name)
    if "shared" in names:
        text = (SHARED / "data/corpora/books_valid.txt").read_text().split("<|endoftext|>")[1].strip("\r\n")[:60000]
        parity.trained("books-mha", text, 512)
        parity.trained("kjv-mha", text[:20000], 256)
    if "types" in names:
        parity.types(SHARED / "models/books-mha")
    sys.exit(parity.failures > 0)


main()
