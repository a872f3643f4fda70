"""Goldens of tokenizer.json and vocab.json + merges.txt, made by Hugging Face's tokenizers.

usage: python tests/oracle/fast_tokenizers.py [--shared ../shared] [--only-small | --only-corpora]
needs: pip install tokenizers transformers sentencepiece, and bible-kjv

Writes into tests/goldens/tokenizer/fast:
  NAME.json, NAME/     small tokenizers, one for each way a family cuts its text, trained here on the text of bible-kjv
                       (public domain); NAME/ holds vocab.json, merges.txt and what belongs to them
  megabyte.json        what a megabyte of hostile Unicode is drawn from (megabyte() here, the same in the test)
  goldens.json         for every tokenizer: ids and decoded text of awkward texts, and the sha256 of the megabyte's ids
  corpora.json         sha256 of the little-endian int32 ids of every corpus under SHARED (documents as in
                       tokenizer_digests.py, nothing before them) for the tokenizers there
Special tokens' names in a text are text (encode_special_tokens), as in ours.
"""
import argparse
import json
import os
import shutil

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tokenizer_digests import HERE, HOSTILE, digest, documents, kjv, read

GOLDENS = os.path.join(HERE, "..", "goldens", "tokenizer", "fast")
TOKENIZERS = ["data/tokenizers/neox20b/tokenizer.json", "models/books-mha/tokenizer.json",
              "data/tokenizers/gpt2/tokenizer.json"]
LARGE, BEGINNING = "books_train.txt", 2_000_000  # the largest corpus: whole with the last tokenizer

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
BLOOM = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
DEEPSEEK_LETTERS = (r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-"
                    r"ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ"
                    r"-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+")
DEEPSEEK_PUNCTUATION = r"\s?[!-/:-~！-／：-～‘-‟　-。]+"

TEXTS = [text for text in HOSTILE if len(text) < 120] + [
    "a" * 60 + " " + "ab" * 40, "can't CAN'T I'LL we'Ve 'S 's '\u017f \u017f K it's'",
    "1 12 123 1234 12345 1234567 \u00bd \u00b2 \u0663 \u096e \u4e00 \u2167 \u0be7",
    "    indent\n        more\n\n\n\n  \n x", "  lead", "tail  ", "\r\n\r\n a \r b",
    "a\u180eb\u0085c\u00a0d\u2003e\u3000f\u200bg",
    "\U0002ebf0\U00031350 \U000105c0a \U0001e4d0\U0001e4f0 \U00016d40\U00016d70 \u1c89\ua7cb \u0897 \U0001fae9 "
    "\U00011bf0\U00011de0",
    "e\u0301 \u1e9b\u0323 \u212b \uac00 \u1100\u1161 \u0958 \U00011935\U00011930 a\u1df9\u0334",
    "<|endoftext|> <|im_start|>user\n<pad>  <eos>", "x<foo>y <foo> <foo>  z", "red,reddish red _red red!",
    "snake_case camelCase HTTPServer x=1; y+=2; // ok?", "(a|b) [c] {d} \"e\" \u00abf\u00bb \u2018g\u2019 \u2026h\u2026",
    "\u060cabc\u06d4def\u3002ghi\u3001", "$5 +3 <4> ^~`|=", "http://x.y/z?a=b&c=%20", "\u2581\u2581a \u2581b", "<0x41><0xE2>",
    "\u00e9\u00e8 \u0120 \u0121 \u010a \u0109 \u0100\u0101",
]

MEGABYTE = {
    "bytes": 1_000_000,
    "ranges": [[0x20, 0x7E], [0xA0, 0x24F], [0x300, 0x36F], [0x370, 0x5FF], [0x600, 0x6FF], [0x900, 0xDFF], [0xE00, 0xE7F],
               [0x1100, 0x11FF], [0x1E00, 0x1FFF], [0x2000, 0x206F], [0x2070, 0x2BFF], [0x3000, 0x30FF], [0x4E00, 0x9FFF],
               [0xAC00, 0xD7A3], [0xE000, 0xE0FF], [0xF900, 0xFAFF], [0xFB00, 0xFEFF], [0xFF00, 0xFFFF], [0x10000, 0x1FFFF],
               [0x20000, 0x323AF], [0xE0000, 0xE01EF], [0x10FFF0, 0x10FFFF], [0x1, 0xD7FF], [0xE000, 0x10FFFF]],
    "words": ["the", " and", "can't", "I'LL", "'s", " 123", "1234567", "\n\n\n", "\r\n", "\t\t", "   ", "        ", "e\u0301",
              "\u0301", "\u200d", "<|endoftext|>", "<s>", "\u2581", "\u0120", "\u017f", "'\u017f", "\u212a", "...", "!!!",
              "http://x.y/z?a=b&c", "\u00b2\u00b3", "\u00bd", "\u180e", "\u0085", "\u00a0", "\u2028", "\uff10\uff11", "\u01c5",
              "\u00df", "\u0130", "<0x41>", "\ufeff", "<foo>", " red "],
}


def megabyte(count=MEGABYTE["bytes"], seed=1):
    """Words, and runs of characters of one range, by a linear congruential generator (Knuth's MMIX)."""
    state = seed

    def draw(below):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % below

    parts, size = [], 0
    while size < count:
        if draw(2) == 0:
            part = MEGABYTE["words"][draw(len(MEGABYTE["words"]))]
        else:
            low, high = MEGABYTE["ranges"][draw(len(MEGABYTE["ranges"]))]
            part = "".join([chr(low + draw(high - low + 1)) for _ in range(1 + draw(11))])
        parts.append(part)
        size += len(part.encode())
    return "".join(parts)


def byte_level(prefix=False, regex=True):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert=invert)


def sequence(*steps):
    return pre_tokenizers.Sequence(list(steps))


def parsed(part):
    """The JSON of a part of a tokenizer."""
    return json.loads(part.__getstate__())


def token(id, content, special=True, **how):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": not special, "special": special} | how


def numbered(vocab, added):
    """Added tokens with the ids that the library gives them: of the piece of that text, or counted on."""
    tokens, next_id = [], len(vocab)
    for content, special, how in added:
        tokens.append(token(vocab.get(content, next_id), content, special, **how))
        next_id += content not in vocab
    return tokens


def template(name, id):
    return {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]}}}


def assemble(model, normalizer, pre_tokenizer, decoder, added, post_processor=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": model}


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(kjv()[:1500] + TEXTS, trainer)
    return json.loads(tokenizer.to_str())["model"]


def over_bytes(pre_tokenizer, normalizer=None, added=(), post_processor=None, **options):
    """A byte-level tokenizer; `added` are tokens without ids, counted on from the vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=460, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    model = train(tokenizer, trainer) | options
    tokens = numbered(model["vocab"], added)
    return assemble(model, normalizer and parsed(normalizer), parsed(pre_tokenizer), parsed(decoders.ByteLevel()), tokens,
                    post_processor and post_processor(len(model["vocab"])))


def over_characters(normalizer, pre_tokenizer, decoder, added=(), bos="<s>", **options):
    """As converted from SentencePiece: BPE over characters, bytes named for what is no piece."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = split("\u2581", "merged_with_next")
    trained = train(tokenizer, trainers.BpeTrainer(vocab_size=420, limit_alphabet=90, show_progress=False))
    first = ["<unk>", bos, "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = first + [piece for piece in sorted(trained["vocab"], key=trained["vocab"].get) if piece not in first]
    model = trained | {"vocab": {piece: id for id, piece in enumerate(pieces)}, "byte_fallback": True, "fuse_unk": True,
                       "unk_token": "<unk>"} | options
    tokens = [token(id, pieces[id]) for id in range(3)]
    tokens += numbered(model["vocab"], added)
    return assemble(model, normalizer and parsed(normalizer), pre_tokenizer and parsed(pre_tokenizer), decoder, tokens,
                    template(bos, 1))


def unigram(normalizer, pre_tokenizer, decoder, byte_fallback):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = split("\u2581", "merged_with_next")
    trained = train(tokenizer, trainers.UnigramTrainer(vocab_size=300, unk_token="<unk>", show_progress=False,
                                                       special_tokens=["<unk>", "<s>", "</s>"]))
    vocab = [row for row in trained["vocab"] if len(row[0]) > 1 or ord(row[0]) < 0x3000]
    vocab += [["<0x%02X>" % byte, -20.0] for byte in range(256)] if byte_fallback else []
    model = trained | {"vocab": vocab, "unk_id": 0, "byte_fallback": byte_fallback}
    return assemble(model, normalizer and parsed(normalizer), pre_tokenizer and parsed(pre_tokenizer), decoder,
                    [token(id, vocab[id][0]) for id in range(3)])


def to_spaces(*more):
    return {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                                             {"type": "ByteFallback"}, {"type": "Fuse"}, *more]}


STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
END = ("<|endoftext|>", True, {})
SPACES = [(" " * count, False, {}) for count in (4, 3, 2)]


def prepend():
    return normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])


def small_tokenizers():
    nfc = normalizers.NFC()
    yield "qwen2", over_bytes(sequence(split(QWEN2), byte_level(False, False)), nfc, [END, ("<|im_start|>", True, {})])
    yield "llama3", over_bytes(sequence(split(LLAMA3), byte_level(False, False)), None, [("<|begin_of_text|>", True, {})],
                               lambda id: {"type": "Sequence", "processors": [
                                   {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
                                   template("<|begin_of_text|>", id)]}, ignore_merges=True)
    yield "olmo2", over_bytes(sequence(split(LLAMA3), byte_level(False, False)), None, [END])
    yield "stablelm2", over_bytes(sequence(split(QWEN2, "removed", True), byte_level(False, False)), None, [END])
    yield "olmo", over_bytes(byte_level(), nfc, [END, *SPACES])
    yield "gpt_prefix", over_bytes(byte_level(True), None, [END])
    yield "bloom", over_bytes(sequence(split(BLOOM), byte_level(False, False)), None, [("<s>", True, {})])
    yield "falcon", over_bytes(sequence(pre_tokenizers.Punctuation("contiguous"), byte_level(), pre_tokenizers.Digits(False),
                                        split("[0-9][0-9][0-9]")), None, [END])
    yield "command_r", over_bytes(sequence(pre_tokenizers.Digits(True), byte_level()), nfc, [("<BOS_TOKEN>", True, {})],
                                  lambda id: template("<BOS_TOKEN>", id))
    yield "deepseek_coder", over_bytes(sequence(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                                                split(EAST_ASIAN), pre_tokenizers.Digits(True), byte_level(False, False)))
    yield "deepseek_llm", over_bytes(sequence(split("[\r\n]"), split(DEEPSEEK_LETTERS), split(DEEPSEEK_PUNCTUATION), split(r"\s+$"),
                                              split(EAST_ASIAN), pre_tokenizers.Digits(True), byte_level(False, False)))
    yield "added", over_bytes(byte_level(), normalizers.NFKC(), [
        ("<foo>", False, {"lstrip": True, "normalized": False}), ("red", False, {"single_word": True}),
        ("<pad>", False, {"rstrip": True}), END, ("\u212b", False, {}), *SPACES])
    yield "llama", over_characters(prepend(), None, to_spaces(STRIP))
    yield "phi3", over_characters(prepend(), None, to_spaces(STRIP), [
        ("<|im_start|>", True, {"rstrip": True}), ("<foo>", False, {"rstrip": True, "normalized": False})])
    yield "metaspace", over_characters(None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), to_spaces(STRIP))
    yield "gemma", over_characters(normalizers.Replace(" ", "\u2581"), pre_tokenizers.Split(" ", "merged_with_previous"),
                                   to_spaces(), [("\n\n", False, {"normalized": False}),
                                                 ("\u2581\u2581", False, {"normalized": False})], bos="<bos>")
    yield "no_fallback", over_characters(prepend(), None, to_spaces(STRIP), byte_fallback=False, fuse_unk=False)
    yield "persimmon", unigram(prepend(), None, to_spaces(STRIP), True)
    yield "unigram", unigram(None, pre_tokenizers.Metaspace(), parsed(decoders.Metaspace()), False)


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def write_pair(name, model, config, more=None):
    """vocab.json and merges.txt of a byte-level model, for the classes of transformers that read these."""
    folder = os.path.join(GOLDENS, name)
    os.makedirs(folder)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "\n".join([" ".join(merge) for merge in model["merges"]]) + "\n")
    for file, value in ({"vocab.json": model["vocab"], "tokenizer_config.json": config} | (more or {})).items():
        write(os.path.join(folder, file), value)


def write_pairs(gpt2, qwen2):
    size = len(gpt2["vocab"])
    write_pair("codegen", gpt2 | {"vocab": gpt2["vocab"] | {"<|endoftext|>": size}}, {"tokenizer_class": "CodeGenTokenizer"},
               {"added_tokens.json": {" " * count: size + 1 + i for i, count in enumerate((4, 3, 2))}})
    write_pair("opt", gpt2 | {"vocab": gpt2["vocab"] | {"</s>": size}},
               {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "bos_token": "</s>", "eos_token": "</s>",
                "unk_token": "</s>"})
    write_pair("qwen2_pair", qwen2, {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|endoftext|>", "added_tokens_decoder": {
        str(len(qwen2["vocab"])): {"content": "<|endoftext|>", "special": True, "normalized": False, "lstrip": False,
                                   "rstrip": False, "single_word": False}}})


def write_provenance():
    import tokenizers
    import transformers
    with open(os.path.join(GOLDENS, "README.md"), "w", encoding="utf-8") as file:
        file.write(f"""Ids and texts by Hugging Face's tokenizers {tokenizers.__version__} (NAME/ through transformers {transformers.__version__}), special tokens'
names being text. Made, with the small tokenizers themselves, by

    python tests/oracle/fast_tokenizers.py

which says what each file holds. The tokenizers are trained on Genesis and Exodus (King James, public domain; Debian's bible-kjv).
""")


def open_reference(path):
    """The tokenizers library's own object, special names in a text being text."""
    if path.endswith("vocab.json"):
        tokenizer = Tokenizer(models.BPE.from_file(path, path.replace("vocab.json", "merges.txt")))
        tokenizer.pre_tokenizer, tokenizer.decoder = byte_level(), decoders.ByteLevel()
    elif os.path.isdir(path):
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(path)._tokenizer
    else:
        tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def ids_of(tokenizer, text):
    return tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids  # without offsets


def goldens():
    hostile, found = megabyte(), {}
    for name in sorted(os.listdir(GOLDENS)):
        if name in ("goldens.json", "corpora.json", "megabyte.json", "README.md"):
            continue
        tokenizer = open_reference(os.path.join(GOLDENS, name))
        ids = [ids_of(tokenizer, text) for text in TEXTS]
        start = tokenizer.encode("x").ids[:-len(ids_of(tokenizer, "x"))]
        found[name] = {"start": start, "ids": ids, "decoded": [tokenizer.decode(each) for each in ids],
                       "megabyte": digest(ids_of(tokenizer, hostile))}
        print(name, start, flush=True)
    write(os.path.join(GOLDENS, "goldens.json"), {"texts": TEXTS, "tokenizers": found})


def corpora(shared):
    rows = []

    def add(name, tokenizer, corpus, limit=None):
        text, _ = read(os.path.join(shared, corpus), limit)
        batch = tokenizer.encode_batch_fast(documents(text), add_special_tokens=False)
        ids = [id for each in batch for id in each.ids]
        rows.append({"tokenizer": name, "corpus": corpus, "bytes": len(text.encode()), "tokens": len(ids), "sha256": digest(ids)})
        print(rows[-1], flush=True)
        with open(os.path.join(GOLDENS, "corpora.json"), "w", encoding="utf-8") as file:
            file.write(json.dumps(rows, indent=1) + "\n")

    for name in TOKENIZERS:
        tokenizer = open_reference(os.path.join(shared, name))
        for corpus in sorted(os.listdir(os.path.join(shared, "data", "corpora"))):
            add(name, tokenizer, "data/corpora/" + corpus, BEGINNING if corpus == LARGE else None)
    add(name, tokenizer, "data/corpora/" + LARGE)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", default=os.path.join(HERE, "..", "..", "..", "shared"))
    parser.add_argument("--only-small", action="store_true", help="leave corpora.json as it is")
    parser.add_argument("--only-corpora", action="store_true", help="leave everything else as it is")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if arguments.only_corpora:
        corpora(arguments.shared)
        return
    keep = os.path.join(GOLDENS, "corpora.json")
    kept = open(keep, encoding="utf-8").read() if os.path.exists(keep) else None
    shutil.rmtree(GOLDENS, ignore_errors=True)
    os.makedirs(GOLDENS)
    if kept:
        with open(keep, "w", encoding="utf-8") as file:
            file.write(kept)
    made = {}
    for name, tokenizer in small_tokenizers():
        write(os.path.join(GOLDENS, name + ".json"), tokenizer)
        made[name] = tokenizer["model"]
    write_pairs(made["gpt_prefix"], made["qwen2"])
    write_provenance()
    write(os.path.join(GOLDENS, "megabyte.json"), MEGABYTE)
    goldens()
    if not arguments.only_small:
        corpora(arguments.shared)


if __name__ == "__main__":
    main()
