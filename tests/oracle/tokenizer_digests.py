"""Goldens of the tokenizer tests, made by the reference library (PyPI sentencepiece), and a comparison with HF.

usage: python tests/oracle/tokenizer_digests.py [--shared ../shared] [--hf]
needs: pip install sentencepiece (and transformers for --hf)

Writes into tests/goldens/tokenizer:
  llama.model unigram.model crossing.model   small models trained here on the text of bible-kjv (public domain)
  hostile.json     ids and decoded text of awkward texts, for the three models
  corpora.json     sha256 of the little-endian int32 ids of every corpus under SHARED, documents with BOS;
                   for unigram models words are encoded one by one (see encode_document)
  provenance.json  versions and the command
BPE documents are encoded in one piece; ours cuts them, so equality also shows that the cuts change nothing.
"""
import argparse
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import sentencepiece as spm

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDENS = os.path.join(HERE, "..", "goldens", "tokenizer")
TOKENIZERS = ["data/tokenizers/llama2/tokenizer.model", "models/books-mha/tokenizer.model",
              "models/kjv-mha/tokenizer.model", "data/models/tok512.model", "data/tokenizers/t5/spiece.model"]
# The largest corpus whole with one tokenizer, its beginning with the others.
LARGE, LARGE_TOKENIZER, BEGINNING = "books_train.txt", "models/books-mha/tokenizer.model", 2_000_000
# In these the library's versions break a tie in two ways; the test compares the counts alone.
TIE = "'----' is '-' '---' (0.2.3) or '---' '-' (0.1.97): the same score"

HOSTILE = [
    "Hello world", " leading", "trailing ", "two  spaces   three", "\ttab\nnewline\n\nparagraph", "a\r\nb",
    "In the beginning God created the heaven and the earth. " * 3,
    "<s> </s> <unk> <0x41> names of special tokens are text", "▁literal▁symbol ▁ mixed", "▁", " ", "   ", "\n",
    "nul\u0000inside", "\u0001\u001f\u007f", "café cafe\u0301 \u212b Å ﬁ ｆｕｌｌ",
    "\u200b\u200d\u00a0\u2003\u3000\ufeff", "日本語のテキスト。空白なし", "Ελληνικά Кириллица עברית العربية हिन्दी ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 \U0010ffff \ufffd \ufdd0", "e\u0301\u0302\u0303\u0304 z̸̢͓a̶̧l̷g̴o̵", "1234567890 3.14159e-10 0x1F",
    "a" * 300, "ab " * 200, "word\u2028line\u2029para\u0085next", "ﷺ ㍿ Ǆ ŉ ß İ ı", "\ud7ff\ue000\U00010000",
]


def kjv():
    text = subprocess.run(["bible", "-f", "gen1:1-exo40:38"], capture_output=True, text=True, check=True).stdout
    return [line.split(" ", 1)[1] for line in text.splitlines()]


def train(name, **options):
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(kjv()), model_writer=model, minloglevel=2, num_threads=1,
                                   **options)
    with open(os.path.join(GOLDENS, name), "wb") as file:
        file.write(model.getvalue())


def train_models():
    """As Llama's; as T5's, which rewrites its text; and one whose pieces reach across spaces."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:  # nmt_nfkc in small: E with acute, full-width f
        rules.write("65 301\tC9\nFF46\t66\nFB01\t66 69\nA\t20\n3000\t20\n")
        rules.flush()
        train("unigram.model", vocab_size=256, model_type="unigram", bos_id=-1, pad_id=0, eos_id=1, unk_id=2,
              normalization_rule_tsv=rules.name)
    llama = dict(model_type="bpe", normalization_rule_name="identity", byte_fallback=True,
                 remove_extra_whitespaces=False)
    train("llama.model", vocab_size=512, split_digits=True, **llama)
    train("crossing.model", vocab_size=640, split_by_whitespace=False, **llama)


def random_texts(count=200):
    """Pieces of everything above in random order, with spaces in random places."""
    draw = random.Random(20261122)
    words = [word for text in HOSTILE for word in text.split(" ")] + ["the", "and", "of", "LORD", ".", ",", ""]
    return [" ".join(draw.choice(words) for _ in range(draw.randrange(1, 60))) for _ in range(count)]


def write(name, value):
    with open(os.path.join(GOLDENS, name), "w", encoding="utf-8") as file:
        text = json.dumps(value, indent=1, ensure_ascii=True)
        file.write(re.sub(r"(?<=[\[,])\s+(?=\d)|(?<=\d)\s+(?=\])", "", text) + "\n")  # ids of a text on one line


def digest(ids):
    import array
    values = array.array("i", ids)
    if sys.byteorder == "big":
        values.byteswap()
    return hashlib.sha256(values.tobytes()).hexdigest()


def hostile():
    goldens = {"texts": HOSTILE, "models": {}}
    for name in ["llama.model", "unigram.model", "crossing.model"]:
        model = spm.SentencePieceProcessor(model_file=os.path.join(GOLDENS, name))
        ids = [model.encode(text) for text in HOSTILE]
        goldens["models"][name] = {"ids": ids, "decoded": [model.decode(each) for each in ids]}
    write("hostile.json", goldens)


def documents(text):
    """The convention of core/data/token_stream.h, written down a second time, line by line."""
    found, lines = [], []
    for line in text.split("\n") + ["<|endoftext|>"]:
        if line == "<|endoftext|>":
            found.append("\n".join(lines).strip("\n"))
            lines = []
        else:
            lines.append(line)
    return [document for document in found if document]


def is_unigram(tokenizer):
    return tokenizer.endswith("spiece.model")


def encode_document(model, document, unigram):
    """A unigram segmentation is the one with the largest sum of scores. The library adds them up in float32 along the
    whole text, and in a text of a megabyte rounding decides between close ones: the same word comes out in two ways,
    and 0.1.97 and 0.2.3 differ. Word by word the sums are short and every version finds the best one."""
    if not unigram:
        return model.encode(document)
    return [token for word in re.split("[ \\n\\t]+", document) for token in model.encode(word)]


def encode_corpus(model, text, unigram):
    bos = model.bos_id()
    ids = []
    for document in documents(text):
        ids += ([bos] if bos >= 0 else []) + encode_document(model, document, unigram)
    return ids


def read(path, limit=None):
    with open(path, "rb") as file:
        raw = file.read() if limit is None else file.read(limit)
    return raw.decode("utf-8", errors="ignore" if limit else "strict"), len(raw)


def corpora(shared):
    folder = os.path.join(shared, "data", "corpora")
    rows = []
    for tokenizer in TOKENIZERS:
        model = spm.SentencePieceProcessor(model_file=os.path.join(shared, tokenizer))
        for corpus in sorted(os.listdir(folder)):
            if not corpus.endswith(".txt"):
                continue
            limit = BEGINNING if corpus == LARGE and tokenizer != LARGE_TOKENIZER else None
            text, size = read(os.path.join(folder, corpus), limit)
            ids = encode_corpus(model, text, is_unigram(tokenizer))
            tie = is_unigram(tokenizer) and corpus.startswith("books_")
            rows.append({"tokenizer": tokenizer, "corpus": "data/corpora/" + corpus, "bytes": len(text.encode()),
                         "documents": len(documents(text)), "tokens": len(ids), "sha256": digest(ids)} | ({"tie": TIE} if tie else {}))
            print(rows[-1], flush=True)
    write("corpora.json", rows)


def compare_with_hf(shared):
    """Prints, for the models of ours, where HF's LlamaTokenizer (the tokenizers library) gives other ids."""
    from transformers import AutoTokenizer
    import transformers
    print("transformers", transformers.__version__)
    for folder in ["models/books-mha", "models/kjv-mha"]:
        hf = AutoTokenizer.from_pretrained(os.path.join(shared, folder))
        model = spm.SentencePieceProcessor(model_file=os.path.join(shared, folder, "tokenizer.model"))
        texts = [("hostile", text) for text in HOSTILE] + [("random", text) for text in random_texts()]
        for corpus in sorted(os.listdir(os.path.join(shared, "data", "corpora"))):
            text, _ = read(os.path.join(shared, "data", "corpora", corpus), BEGINNING)
            texts += [(corpus, document) for document in documents(text)]
        same, kinds, others = 0, {"names a special token": 0, "starts with a space": 0}, []
        for where, text in texts:
            ours, theirs = model.encode(text), hf(text, add_special_tokens=False).input_ids
            same += ours == theirs
            if ours == theirs:
                continue
            if re.search("<s>|</s>|<unk>", text):
                kinds["names a special token"] += 1
            elif text[0] in " \u2581":
                kinds["starts with a space"] += 1
            else:
                others.append((where, text[:40], ours[:12], theirs[:12]))
        print(f"{folder}: {same} of {len(texts)} texts the same; hf('x') = {hf('x').input_ids}; differ:", kinds)
        for other in others[:20]:
            print("  differs otherwise:", *map(repr, other))
        print(f"  {len(others)} differ otherwise")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", default=os.path.join(HERE, "..", "..", "..", "shared"))
    parser.add_argument("--hf", action="store_true", help="only compare with HF transformers; writes nothing")
    arguments = parser.parse_args()
    if arguments.hf:
        compare_with_hf(arguments.shared)
        return
    os.makedirs(GOLDENS, exist_ok=True)
    train_models()
    hostile()
    write("provenance.json", {"sentencepiece": spm.__version__, "python": sys.version.split()[0],
                              "command": "python tests/oracle/tokenizer_digests.py",
                              "text of the models": "Debian bible-kjv, gen1:1-exo40:38, without references"})
    corpora(arguments.shared)


if __name__ == "__main__":
    main()
