#!/usr/bin/env python3
"""Compares what llama.cpp computes from our GGUF files with HF transformers and with `regroup eval`. One line each; exit code 1
beyond 0.1% of perplexity (fp32).

    cmake --build --preset release --target regroup logits
    python tests/oracle/export_parity.py LLAMA_CPP [--build build/release] [--page docs/export.md --revision REVISION] [NAME…]

1. Every checkpoint of tests/goldens/families and tests/goldens/llama that llama.cpp runs: its logits against HF's, which are there; and conversions
   to fewer key/value heads: its logits against those of our decoder (which no class of HF's may hold).
2. The checkpoints in ../shared/models and a conversion of each: tokens, perplexity on the same windows as `regroup eval`, and
   llama-perplexity's own figure.
3. The tokenizers of tests/goldens/tokenizer/fast that llama.cpp has a name for: ids by llama-tokenize against Hugging Face's.
4. Every type: Q8_0 equals what the `gguf` package makes of the same numbers, to the bit.
5. A random model of every architecture with a tokenizer that knows text: what llama-perplexity prints of it against
   `regroup eval --convention llama.cpp`.
--page writes what was measured into a page of Markdown, below its headings "## Measured" (1; only over all checkpoints) and
"## What llama-perplexity prints" (5).
llama_cpp.py says how to get LLAMA_CPP.
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time

# Models this small have no work for two threads.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import gguf
import numpy
import sentencepiece
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

import hf_families
from llama_cpp import LlamaCpp

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
GOLDENS = [ROOT / "tests/goldens" / name for name in ("families", "llama")]
TOKENIZER = ROOT / "tests/goldens/export"
FAST_TOKENIZERS = ROOT / "tests/goldens/tokenizer/fast"
TOLERANCE = 1e-3
# A family of every architecture, and which of FAST_TOKENIZERS its model has: one over bytes, or one over characters.
PRINTED = dict.fromkeys(("qwen2", "phi", "stablelm", "olmo", "olmo2", "cohere", "gpt2", "gpt_bigcode", "gpt_neox", "bloom", "mpt", "starcoder2"),
                        "olmo2") | dict.fromkeys(("llama", "phi3", "gemma"), "llama")
WINDOW = 256  # llama.cpp's shortest
# Where llama.cpp's tokenizers are known to do otherwise (docs/export.md).
TOLD = {"added": "it finds tokens inside words that are to stand alone",
        "no_fallback": "it has bytes for characters that are no piece, where there is no byte fallback"}
# What graphs compute nearly (`approximations` of a file's record), in short: what the page calls it, and whether perplexity may
# differ by more than the tolerance for it.
Near = collections.namedtuple("Near", "sign name beyond")
NEAR = [Near("GELU", "tanh GELU", False), Near("looks back", "no sliding window", True), Near("length", "no dynamic NTK", True),
        Near("factors", "longrope's long factors", True), Near("bfloat16", "ALiBi not rounded", False)]
Result = collections.namedtuple("Result", "architecture converted ratio distance near good")
Printed = collections.namedtuple("Printed", "architecture tokens ours theirs good")


def nats(logits_BTV, ids_BT):
    logits = torch.as_tensor(logits_BTV)[:, :-1].double()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids_BT[:, 1:].flatten()).item()


class Parity:
    def __init__(self, arguments):
        self.build, self.llama_cpp = arguments.build, LlamaCpp(arguments.llama_cpp)
        self.failures, self.refused, self.results, self.printed = 0, 0, [], []

    def run(self, *words, may_fail=False):
        result = subprocess.run([self.build / "regroup", *map(str, words), "--quiet"], capture_output=True, text=True)
        if result.returncode == 2 and may_fail:
            return None
        if result.returncode != 0:
            raise SystemExit(f"regroup {' '.join(map(str, words))}: {result.stderr}")
        return result.stdout

    def export(self, model, scratch, dtype="fp32", may_fail=False):
        path = pathlib.Path(scratch) / f"{dtype}.gguf"
        done = self.run("export", model, path, "--dtype", dtype, "--overwrite", may_fail=may_fail)
        return path if done is not None else None

    def say(self, name, passed, text):
        self.failures += not passed
        print(f"{'ok  ' if passed else 'FAIL'} {name:32} {text}", flush=True)

    def our_logits(self, directory, ids_BT, scratch):
        files = [pathlib.Path(scratch) / name for name in ("ids.safetensors", "logits.safetensors")]
        for file in files:
            file.unlink(missing_ok=True)
        save_file({"ids": ids_BT}, files[0])
        subprocess.run([self.build / "tests/logits", directory, *files], check=True)
        return load_file(files[1])["logits_fp32"]

    def compare(self, name, directory, ids_BT, expected_BTV, scratch):
        file = self.export(directory, scratch, may_fail=True)
        if file is None:
            print(f"     {name:32} refused", flush=True)
            self.refused += 1
            return False
        ours = self.llama_cpp.logits(file, ids_BT.numpy(), scratch)
        ratio = numpy.exp(nats(ours, ids_BT) - nats(expected_BTV, ids_BT)) - 1
        worst = numpy.abs(ours - expected_BTV.numpy()).max()
        record = json.loads(pathlib.Path(f"{file}.json").read_text())
        near = [next(row for row in NEAR if row.sign in sentence) for sentence in record["approximations"]]
        good = abs(ratio) < TOLERANCE
        text = f"{record['architecture']}: perplexity {ratio:+.1e}, logits within {worst:.1e} of a spread of {expected_BTV.std():.2f}"
        if any(row.beyond for row in near):
            print(f"near {name:32} {text}; {record['approximations'][0]}", flush=True)
        else:
            self.say(name, good, text)
        self.results.append(Result(record["architecture"], "->" in name, abs(ratio), worst / expected_BTV.std().item(), near, good))
        return True

    def family(self, golden):
        with tempfile.TemporaryDirectory() as scratch:
            source = pathlib.Path(scratch) / "source"
            shutil.copytree(golden, source)
            for file in ("tokenizer.model", "tokenizer_config.json"):
                shutil.copyfile(TOKENIZER / file, source / file)
            expected = load_file(golden / "expected.safetensors")
            if not self.compare(golden.name, source, expected["ids"], expected["logits_fp32"], scratch):
                return
            heads = json.loads(self.run("inspect", source, "--json"))["kv_heads"]
            for fewer in range(heads - 1, 0, -1):
                converted = pathlib.Path(scratch) / f"converted{fewer}"
                if heads % fewer == 0 and self.run("convert", source, converted, "--kv-heads", fewer, "--weights-only", may_fail=True) is not None:
                    self.compare(f"{golden.name} {heads} -> {fewer}", converted, expected["ids"],
                                 self.our_logits(converted, expected["ids"], scratch), scratch)

    def trained(self, name, text, window):
        with tempfile.TemporaryDirectory() as scratch:
            source, converted = SHARED / "models" / name, pathlib.Path(scratch) / "converted"
            self.run("convert", source, converted, "--kv-heads", 2, "--weights-only")
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

    def perplexity(self, family, tokenizer, text):
        name, base, _ = hf_families.FAMILIES[family]
        cls, file = getattr(transformers, name), FAST_TOKENIZERS / f"{tokenizer}.json"
        sizes = {"vocab_size": tokenizers.Tokenizer.from_file(str(file)).get_vocab_size()}
        sizes |= {key: WINDOW for key in ("max_position_embeddings", "n_positions", "max_seq_len") if key in base}
        with tempfile.TemporaryDirectory() as scratch:
            source, text_file, report = (pathlib.Path(scratch) / part for part in ("source", "text.txt", "report.json"))
            hf_families.write_checkpoint(source, family, None, 0, cls, base | sizes, {})
            shutil.copyfile(file, source / "tokenizer.json")
            text_file.write_text(text)
            exported = self.export(source, scratch)
            self.run("eval", source, "--data", text_file, "--convention", "llama.cpp", "--window", WINDOW, "--dtype", "fp32", "--json", report)
            found = json.loads(report.read_text())
            theirs = self.llama_cpp.perplexity(exported, text_file, WINDOW)
            architecture = json.loads(pathlib.Path(f"{exported}.json").read_text())["architecture"]
        ours = found["models"][0]["perplexity"]["value"]
        row = Printed(architecture, found["data"]["scored_tokens"], ours, theirs, abs(theirs / ours - 1) < TOLERANCE)
        self.say(f"perplexity {family}", row.good, f"{architecture}: llama-perplexity prints {theirs:.4f}, regroup eval {ours:.4f}: "
                                                   f"{theirs / ours - 1:+.1e} over {row.tokens} tokens")
        self.printed.append(row)

    def tokenizer(self, file, text):
        theirs = tokenizers.Tokenizer.from_file(str(file))
        with tempfile.TemporaryDirectory() as scratch:
            source, text_file = pathlib.Path(scratch) / "source", pathlib.Path(scratch) / "text.txt"
            config = transformers.LlamaConfig(vocab_size=theirs.get_vocab_size(), hidden_size=32, intermediate_size=32,
                                              num_hidden_layers=1, num_attention_heads=2)
            transformers.LlamaForCausalLM(config).save_pretrained(source)
            shutil.copyfile(file, source / "tokenizer.json")
            text_file.write_text(text)
            exported = self.export(source, scratch, may_fail=True)
            if exported is None:
                return print(f"     tokenizer {file.stem:22} refused", flush=True)
            ours = self.llama_cpp.tokenize(exported, text_file)
            ids = theirs.encode(text, add_special_tokens=False).ids
            ours = ours[len(ours) - len(ids):] if len(ours) == len(ids) + 1 else ours  # BOS
            pre = gguf.GGUFReader(exported).fields["tokenizer.ggml.pre"].contents()
            same = sum(one == other for one, other in zip(ours, ids)) if len(ours) == len(ids) else 0
            if file.stem in TOLD:
                return print(f"near tokenizer {file.stem:22} {pre}: {TOLD[file.stem]}", flush=True)
            self.say(f"tokenizer {file.stem}", same == len(ids), f"{pre}: {same} of {len(ids)} ids")

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


MEASURED = """Every checkpoint of `tests/goldens/families` and `tests/goldens/llama` whose graph llama.cpp has, as it is and with every smaller number of key/value heads,
exported in fp32 and run by llama.cpp ({revision}) on the tokens of its golden: the largest relative difference in perplexity and the
largest difference of a logit in units of the logits' spread, beside HF transformers {transformers} for sources and beside our decoder
(which equals HF's, [parity.md](parity.md)) for conversions, with how many checkpoints that is. {within} of {count} are within 0.1%:
all whose graph is the same function on these tokens, tanh GELU in a model of the exact one among them. The columns behind it are
of models that look back less far, or turn positions otherwise, than the graph does: users are told which. {refused} checkpoints are
refused, with what the graph does otherwise. In {minutes:.0f} minutes on two shared cores, on {date}:"""
SECTION = """## Measured

{measured}

    python tests/oracle/export_parity.py LLAMA_CPP --page docs/export.md --revision REVISION

| architecture | source: perplexity, logits | fewer heads: perplexity, logits | {names} |
|---|---|---|{lines}|
{rows}"""


def cell(results):
    if not results:
        return ""
    return f"{max(result.ratio for result in results):.1e}, {max(result.distance for result in results):.1e} ({len(results)})"


def section(parity, revision, seconds):
    exact = [result for result in parity.results if not any(row.beyond for row in result.near)]
    nears = [row for row in NEAR if any(row in result.near for result in parity.results)]
    rows = ""
    for architecture in dict.fromkeys(result.architecture for result in parity.results):
        here = [result for result in parity.results if result.architecture == architecture]
        same = [result for result in here if not result.near]
        cells = [cell([result for result in same if not result.converted]), cell([result for result in same if result.converted])]
        cells += [cell([result for result in here if row in result.near]) for row in nears]
        rows += f"| `{architecture}` | {' | '.join(cells)} |\n"
    measured = MEASURED.format(revision=revision, transformers=transformers.__version__, count=len(exact), refused=parity.refused,
                               within=sum(result.good for result in exact), minutes=seconds / 60, date=datetime.date.today())
    return SECTION.format(measured=textwrap.fill(" ".join(measured.split()), 140), rows=rows, lines="---|" * (len(nears) - 1) + "---",
                          names=" | ".join(row.name for row in nears))


PRINTED_SECTION = """## What llama-perplexity prints

{measured}

    python tests/oracle/export_parity.py LLAMA_CPP perplexity --page docs/export.md --revision REVISION

| architecture | tokens scored | `llama-perplexity` | `regroup eval` | relative difference |
|---|---|---|---|---|
{rows}"""
PRINTED_MEASURED = """A random model of every architecture with a small tokenizer, over bytes or (llama, phi3, gemma) over characters, exported in fp32: what
llama-perplexity ({revision}, cache in fp32) prints of {characters} characters of an English book in windows of {window} tokens, beside
`regroup eval --convention llama.cpp` on the checkpoint. {within} of {count} are within 0.1%; those beyond 1e-6 compute GELU, which llama.cpp
looks up. On {date}:"""


def printed_section(parity, revision, characters):
    rows = "".join(f"| `{row.architecture}` | {row.tokens:,} | {row.theirs:.4f} | {row.ours:.4f} | {row.theirs / row.ours - 1:+.1e} |\n"
                   for row in parity.printed)
    measured = PRINTED_MEASURED.format(revision=revision, characters=f"{characters:,}", window=WINDOW, count=len(parity.printed),
                                       within=sum(row.good for row in parity.printed), date=datetime.date.today())
    return PRINTED_SECTION.format(measured=textwrap.fill(" ".join(measured.split()), 140), rows=rows)


def put(page, section):
    """In the place of the section of that heading."""
    heading = section.splitlines()[0]
    page.write_text(re.sub(rf"{heading}\n.*?(?=\n## |\Z)", lambda _: section, page.read_text(), flags=re.DOTALL))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_cpp", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="checkpoints of tests/goldens, shared, tokenizers, types, perplexity (default: all)")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--page", type=pathlib.Path, help="write what was measured below its headings")
    parser.add_argument("--revision", default="of an unknown revision", help="what the page calls llama.cpp's revision")
    arguments = parser.parse_intermixed_args()
    parity, start = Parity(arguments), time.time()
    goldens = sorted(path.parent for folder in GOLDENS for path in folder.glob("*/config.json"))
    names = arguments.names or [*(golden.name for golden in goldens), "shared", "tokenizers", "types", "perplexity"]
    all_goldens = {golden.name for golden in goldens} <= set(names)
    if arguments.page and not all_goldens and "perplexity" not in names:
        parser.error("--page is over all checkpoints, or perplexity")
    text = (SHARED / "data/corpora/books_valid.txt").read_text().split("<|endoftext|>")[1].strip("\r\n")[:60000]
    for golden in goldens:
        if golden.name in names:
            parity.family(golden)
    if arguments.page and all_goldens:
        put(arguments.page, section(parity, arguments.revision, time.time() - start))
    if "shared" in names:
        parity.trained("books-mha", text, 512)
        parity.trained("kjv-mha", text[:20000], 256)
    if "tokenizers" in names:
        for file in sorted(FAST_TOKENIZERS.glob("*.json")):
            if "added_tokens" in json.loads(file.read_text()):
                parity.tokenizer(file, text)
    if "types" in names:
        parity.types(SHARED / "models/books-mha")
    if "perplexity" in names:
        for family, tokenizer in PRINTED.items():
            parity.perplexity(family, tokenizer, text[:20000])
        if arguments.page:
            put(arguments.page, printed_section(parity, arguments.revision, 20000))
    sys.exit(parity.failures > 0)


main()
