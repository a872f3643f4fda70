#!/usr/bin/env python3
"""Compares perplexities of `regroup eval --convention NAME --json F` with the loops that the conventions are named after, run
with HF transformers. Prints one line a report; exit code 1 beyond --tolerance (relative).

    .venv/bin/pip install transformers==5.24.0 lm_eval==0.4.13 sentencepiece numpy
    build/release/regroup eval MODEL --data TEXT --window 64 --convention gptq --json gptq.json
    .venv/bin/python tests/oracle/perplexity_conventions.py MODEL --data TEXT --window 64 gptq.json

With --command lm-eval's figures are those that `lm_eval run` writes (of a text of one document). With --golden FILE it writes the loops' perplexities there instead (tests/goldens/eval).
"""
import argparse
import importlib.metadata
import json
import math
import pathlib
import sys
import tempfile

import torch
import transformers
import lm_eval_shape
from eval_parity import read_documents, read_tokens


def gptq(model, ids, window):
    """GPTQ, opt.py: opt_eval(): the mean of the blocks' mean losses."""
    blocks = len(ids) // window
    total = 0.0
    for i in range(blocks):
        batch = torch.tensor([ids[i * window:(i + 1) * window]])
        logits = model(batch).logits[:, :-1, :]
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.size(-1)), batch[:, 1:].reshape(-1))
        total += loss.item() * window
    return math.exp(total / (blocks * window))


def hf_strided(model, ids, window):
    """transformers, docs/source/en/perplexity.md: labels before the previous end are masked by -100, and the model shifts them
    itself. The page weights a window by its labels less one; the tokens that its loss is a mean over are one more wherever the
    window's first label is masked, and those are counted here."""
    stride, previous_end, total, tokens = (window + 1) // 2, 0, 0.0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + window, len(ids))
        batch = torch.tensor([ids[begin:end]])
        labels = batch.clone()
        labels[:, :batch.size(1) - (end - previous_end)] = -100
        scored = int((labels[:, 1:] != -100).sum())
        total += model(batch, labels=labels).loss.item() * scored
        tokens += scored
        previous_end = end
        if end == len(ids):
            break
    return math.exp(total / tokens)


def llama_cpp(model, ids, window):
    """llama-perplexity's loop (tools/perplexity/perplexity.cpp: perplexity()) with HF's arithmetic; llama_perplexity.py compares
    with the program."""
    total, tokens = 0.0, 0
    for begin in range(0, len(ids) // window * window, window):
        batch = torch.tensor([[ids[0], *ids[begin + 1:begin + window]]])
        logits, first = model(batch).logits[0].double(), window // 2
        total += torch.nn.functional.cross_entropy(logits[first:-1], batch[0, first + 1:], reduction="sum").item()
        tokens += window - 1 - first
    return math.exp(total / tokens)


def lm_eval(directory, files, window, bos):
    """lm-eval's own code: HFLM.loglikelihood_rolling, and its aggregations over documents."""
    from lm_eval.api.instance import Instance
    from lm_eval.api.metrics import bits_per_byte, weighted_perplexity
    from lm_eval.api.task import Task
    from lm_eval.models.huggingface import HFLM
    peer = HFLM(pretrained=str(directory), max_length=window, dtype="float32", device="cpu", batch_size=8,
                add_bos_token=None if bos else False)
    documents = [document for file in files for document in read_documents(file)]
    nats = peer.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (text,), 0) for text in documents])
    words, size = [Task.count_words(text) for text in documents], [Task.count_bytes(text) for text in documents]
    tokens = sum(len(peer.tok_encode(text)) for text in documents)
    return {"perplexity": math.exp(-sum(nats) / tokens), "words": sum(words), "bytes": sum(size), "tokens": tokens,
            "word_perplexity": weighted_perplexity(list(zip(nats, words))),
            "byte_perplexity": weighted_perplexity(list(zip(nats, size))),
            "bits_per_byte": bits_per_byte(list(zip(nats, size)))}


def lm_eval_command(directory, files, window):
    """What lm-eval's own command says of a text."""
    (text,) = files
    with tempfile.TemporaryDirectory() as folder:
        figures = lm_eval_shape.run(directory.resolve(), text, pathlib.Path(folder), window)["results"]["TASK"]
    return {name: figures[f"{name},none"] for name in TEXT_FIGURES}


LOOPS = {"gptq": gptq, "hf-strided": hf_strided, "llama.cpp": llama_cpp}
TEXT_FIGURES = ("word_perplexity", "byte_perplexity", "bits_per_byte")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("reports", nargs="*", type=pathlib.Path)
    parser.add_argument("--data", nargs="+", type=pathlib.Path, required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--no-bos", action="store_true")
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--golden", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    arguments = parser.parse_intermixed_args()

    ids = read_tokens(arguments.model, arguments.data, not arguments.no_bos)
    model = transformers.AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = {name: loop(model, ids, arguments.window) for name, loop in LOOPS.items()}
    of_text = lm_eval(arguments.model, arguments.data, arguments.window, not arguments.no_bos)
    expected["lm-eval"] = of_text["perplexity"]
    if arguments.command:
        of_text |= lm_eval_command(arguments.model, arguments.data, arguments.window)
    if arguments.golden:
        arguments.golden.write_text(json.dumps({
            "made_by": "tests/oracle/perplexity_conventions.py " + " ".join(sys.argv[1:]),
            "versions": {"transformers": transformers.__version__, "torch": torch.__version__,
                         "lm_eval": importlib.metadata.version("lm_eval")},
            "window": arguments.window,
            "perplexities": expected,
            "lm_eval": of_text,
        }) + "\n")
        return 0
    worst = 0.0
    for file in arguments.reports:
        report = json.loads(file.read_text())
        name, model = report["convention"]["name"], report["models"][0]
        pairs = {name: (model["perplexity"]["value"], expected[name])}
        if name == "lm-eval":
            pairs |= {figure: (model[figure]["value"], of_text[figure]) for figure in TEXT_FIGURES}
        for what, (ours, theirs) in pairs.items():
            relative = abs(ours / theirs - 1)
            worst = max(worst, relative)
            print(f"{what}: ours {ours:.6f}, theirs {theirs:.6f}, relative difference {relative:.1e}")
    return int(not arguments.reports or worst > arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main())
