#!/usr/bin/env python3
"""Compares every tokenizer with a live reference library (Hugging Face's tokenizers, SentencePiece): ids and decoded text of the corpora
in ../shared, and of hostile Unicode drawn anew from --seed. A line each; exit code 1 where anything differs. --page writes what was
measured into a page of Markdown, below its heading "## Measured".

    cmake --build --preset release --target tokens
    pip install tokenizers transformers sentencepiece
    python tests/oracle/tokenizer_parity.py [--seed 2] [--results FILE] [--page docs/tokenizers.md] [NAME…]

Those of ../shared read the first 2 MB of every corpus (the test suite has the digests of whole ones), the small ones of
tests/goldens/tokenizer the first 200 kB. T5's unigram model is asked word by word, and where two segmentations have the same score both
orders count as one (tokenizer_digests.py says why).
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy
import sentencepiece
import tokenizers

from fast_tokenizers import MEGABYTE, ids_of, megabyte, open_reference
from tokenizer_digests import is_unigram, read

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED, GOLDENS = ROOT.parent / "shared", ROOT / "tests/goldens/tokenizer"
OF_SHARED = ["data/tokenizers/llama2/tokenizer.model", "data/tokenizers/t5/spiece.model", "data/tokenizers/neox20b/tokenizer.json",
             "data/tokenizers/gpt2/tokenizer.json", "data/tokenizers/gpt2/vocab.json", "data/models/tok512.model",
             "models/books-mha/tokenizer.model", "models/books-mha/tokenizer.json", "models/kjv-mha/tokenizer.model",
             "models/kjv-mha/tokenizer.json"]
BEGINNING, SMALL_BEGINNING = 2_000_000, 200_000
Result = collections.namedtuple("Result", "name reference corpora characters ids hostile_ids different decoded_differently")


class SentencePiece:
    """The library; T5's segmentation is that of its words."""
    library = f"sentencepiece {sentencepiece.__version__}"

    def __init__(self, path):
        self.model, self.unigram = sentencepiece.SentencePieceProcessor(model_file=str(path)), is_unigram(str(path))

    def encode(self, text):
        if not self.unigram:
            return self.model.encode(text)
        return [token for word in re.split("[ \\n\\t]+", text) for token in self.model.encode(word)]

    def decode(self, ids):
        return self.model.decode(ids)


class HuggingFace:
    unigram = False
    library = f"tokenizers {tokenizers.__version__}"

    def __init__(self, path):
        self.tokenizer = open_reference(str(path))

    def encode(self, text):
        return ids_of(self.tokenizer, text)

    def decode(self, ids):
        return self.tokenizer.decode(ids)



def reference_for(path):
    return SentencePiece(path) if path.suffix == ".model" else HuggingFace(path)


def ours(program, path, text, scratch):
    files = [scratch / name for name in ("text", "ids", "decoded")]
    files[0].write_bytes(text.encode())
    subprocess.run([program, path, *files], check=True)
    return numpy.fromfile(files[1], dtype=numpy.int32).tolist(), files[2].read_bytes().decode()


def different(ids, theirs, unigram):
    """How many of the longer row of ids stand where the other has another one; a shift counts to its end. The same pieces in another order
    have the same score, which a unigram model may give the one or the other: T5's '-' '---' and '---' '-'."""
    count, at = abs(len(ids) - len(theirs)), 0
    places = numpy.flatnonzero(numpy.array(ids[:len(theirs)]) != numpy.array(theirs[:len(ids)]))
    for place in places:
        if place < at:
            continue
        ends = (end for end in range(place + 2, place + 9) if sorted(ids[place:end]) == sorted(theirs[place:end]))
        end = next(ends, None) if unigram else None
        count += end is None
        at = end or place + 1
    return int(count)


def tokenizers_to_compare():
    yield from ((name, SHARED / name) for name in OF_SHARED)
    fast = [path for path in sorted((GOLDENS / "fast").iterdir()) if path.is_dir() or "added_tokens" in path.read_text()[:100000]]
    yield from ((path.relative_to(GOLDENS).as_posix(), path) for path in sorted(GOLDENS.glob("*.model")) + fast if path.suffix != ".md")


def texts_for(name):
    """(text, is a corpus)"""
    limit = BEGINNING if name in OF_SHARED else SMALL_BEGINNING
    for corpus in sorted((SHARED / "data/corpora").glob("*.txt")):
        yield read(corpus, limit)[0], True


def compare(program, name, path, hostile):
    theirs, counts = reference_for(path), collections.Counter()
    for text, is_corpus in [*texts_for(name), (hostile, False)]:
        with tempfile.TemporaryDirectory() as scratch:
            ids, decoded = ours(program, path, text, pathlib.Path(scratch))
        golden = theirs.encode(text)
        counts["different"] += different(ids, golden, theirs.unigram)
        counts["decoded"] += decoded != theirs.decode(golden)
        counts["corpora" if is_corpus else "hostile"] += len(ids)
        counts["texts"] += is_corpus
        counts["characters"] += len(text) if is_corpus else 0
    result = Result(name, theirs.library, counts["texts"], counts["characters"], counts["corpora"], counts["hostile"], counts["different"],
                    counts["decoded"])
    good = not result.different and not result.decoded_differently
    print(f"{'ok  ' if good else 'FAIL'} {name:44} {result.ids} ids of {result.characters} characters, {result.hostile_ids} of hostile ones: "
          f"{result.different} different; {result.decoded_differently} texts decoded differently", flush=True)
    return result


MEASURED = """Every tokenizer of `../shared` on the first 2 MB of each of its corpora (whole ones are compared by the test suite), every small one of
the test suite on the first 200 kB of each, and all of them on {megabyte:.0f} MB of hostile Unicode that no test had seen (seed {seed}): ids, and the text that they
decode to, beside the library's. {good} of {count} tokenizers have no difference, on {date}:"""


def section(results, options):
    good = sum(not result.different and not result.decoded_differently for result in results)
    measured = MEASURED.format(seed=options.seed, good=good, count=len(results), megabyte=options.bytes / 1e6,
                               date=datetime.date.today())
    rows = "".join(f"| {row.name} | {row.reference} | {row.characters:,} | {row.ids:,} | {row.hostile_ids:,} | {row.different:,} | "
                   f"{row.decoded_differently} |\n" for row in results)
    return f"""## Measured

{textwrap.fill(' '.join(measured.split()), 140)}

    python tests/oracle/tokenizer_parity.py --seed {options.seed} --page docs/tokenizers.md

| tokenizer | reference | characters of corpora | ids | ids of hostile Unicode | different ids | texts decoded differently |
|---|---|---|---|---|---|---|
{rows}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="tokenizers (default: all)")
    parser.add_argument("--seed", type=int, default=2, help="of the hostile text; the test suite's is 1")
    parser.add_argument("--bytes", type=int, default=MEGABYTE["bytes"])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--results", type=pathlib.Path, help="keep each tokenizer's result there, and measure only those that it lacks")
    parser.add_argument("--page", type=pathlib.Path)
    options = parser.parse_args()
    if options.page and options.names:
        parser.error("--page is over all tokenizers")
    hostile = megabyte(options.bytes, options.seed)
    known = {}
    if options.results and options.results.exists():
        known = {tuple(json.loads(line)[:2]): Result(*json.loads(line)) for line in options.results.read_text().splitlines()}
    results = []
    for name, path in tokenizers_to_compare():
        if options.names and name not in options.names:
            continue
        key = (name, reference_for(path).library)
        results.append(known.get(key) or compare(options.build / "tests/tokens", name, path, hostile))
        if options.results and key not in known:
            with open(options.results, "a") as file:
                file.write(json.dumps(results[-1]) + "\n")
    if options.page:
        text = section(results, options)
        page = re.sub(r"## Measured\n.*?(?=\n## |\Z)", lambda _: text, options.page.read_text(), flags=re.DOTALL)
        options.page.write_text(page)
    sys.exit(any(result.different or result.decoded_differently for result in results))


if __name__ == "__main__":
    main()
