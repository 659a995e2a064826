#!/usr/bin/env python3
"""Makes tests/data/tokenizers: small tokenizers with every part that loam supports, and the ids that the package
`tokenizers` gives for some texts.

Run with tokenizers 0.23.3. models.json holds three BPE models; cases.json a list of tokenizers (a model's
name and the other parts of a tokenizer.json) with their cases: [text, with special tokens, ids, starts,
ends, decoded, decoded without special tokens], offsets in bytes. test_tokenizer_golden.c puts the two
together.
"""
import collections
import json
import os

from tokenizers import Tokenizer, pre_tokenizers

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers")

CORPUS = (
    ["the moon orbits the earth and the earth orbits the sun", "what is the distance to the moon in 1969 and 2001",
     "they're here, we'll go there; it's the best food - isn't it?", "the-final--countdown of 3, 2, 1 ... 100 000",
     "Über die größte Entfernung: naïve café déjà vu", "привет мир и солнце", "東京と京都の天気", "hello hello hello world"]
    * 4
)

TEXTS = [
    "the moon orbits the earth",
    " they're  here,\n\n it's   2001-02-03!  ",
    "the-final--countdown-",
    "naïve cafe\u0301 Über ﬁ ½ ① İI A\u030a\u0327",
    "東京と 👩\u200d👩\u200d👧 мир\u00a0х\u3000y\u2028z",
    "a_b $5+x=7^2 `q` ~|~ “w”—v ٣ Ⅷ \u200bk",
    "<s>hello</s> <unk>world<pad>",
    "  \t hello\u2581world \r\n",
    "",
]

# Hangul in parts and whole, a character that stays decomposed, more marks on one letter than any text has,
# ligatures.
FORM_TEXTS = ["\u1112\u1161\u11ab\uac00\u11a8 \u0958 q" + "\u0307\u0323" * 20 + " \ufdfa\ufb03 \u212b \u0344",
              "\u0301a \u0345\u0301\u0327x o\u0308\u0304 \u1e9b\u0323 \u0cc6\u0cc2\u0cd5"]


SPECIAL_TOKENS = ["<unk>", "<s>", "</s>", "<pad>"]


def train(words, alphabet, merge_count, prefix=""):
    """Byte pair encoding as it was first written down. `words` are lists of symbols; ties go to the pair that
    sorts first, so that a second run makes the same files."""
    vocab = {token: id for id, token in enumerate(dict.fromkeys(SPECIAL_TOKENS + alphabet))}
    merges = []
    while len(merges) < merge_count:
        counts = collections.Counter(pair for word in words for pair in zip(word, word[1:]))
        if not counts:
            break
        left, right = min(counts, key=lambda pair: (-counts[pair], pair))
        joined = left + right[len(prefix):]
        merges.append([left, right])
        vocab.setdefault(joined, len(vocab))
        for word in words:
            for i in range(len(word) - 1):
                if word[i:i + 2] == [left, right]:
                    word[i:i + 2] = [joined]
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocab, "merges": merges}


def words_of(pre_tokenizer):
    return [list(word) for line in CORPUS for word, _ in pre_tokenizer.pre_tokenize_str(line)]


def byte_model():
    words = words_of(pre_tokenizers.ByteLevel(add_prefix_space=False))
    return train(words, sorted(pre_tokenizers.ByteLevel.alphabet()), 120)


def fallback_model():
    """As sentencepiece makes them: byte tokens, pieces with U+2581, merges spelt as strings."""
    words = [word for word in words_of(pre_tokenizers.Metaspace()) if "".join(word).isascii() or word[0] == "\u2581"]
    alphabet = sorted({symbol for word in words for symbol in word if symbol.isascii() or symbol in "\u2581üïé"})
    known = [[symbol for symbol in word if symbol in alphabet] for word in words]
    model = train(known, [f"<0x{i:02X}>" for i in range(256)] + alphabet, 120)
    model.update(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    model["merges"] = [" ".join(pair) for pair in model["merges"]]
    return model


def word_model():
    """With a prefix inside words and a suffix at their ends, and characters that it does not know."""
    words = []
    for word in words_of(pre_tokenizers.WhitespaceSplit()):
        if "".join(word).isascii():
            symbols = [symbol if i == 0 else "##" + symbol for i, symbol in enumerate(word)]
            symbols[-1] += "</w>"
            words.append(symbols)
    model = train(words, sorted({symbol for word in words for symbol in word}), 100, prefix="##")
    model.update(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>")
    return model


def added(content, id=0, **flags):
    token = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": False}
    token.update(flags)
    return token


SPECIALS = [added(content, id, special=True) for id, content in enumerate(SPECIAL_TOKENS)]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTES_ONLY = dict(BYTE_LEVEL, use_regex=False)
FALLBACK_DECODER = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}


def metaspace(**options):
    return dict({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}, **options)


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def template(*pieces):
    ids = {"<s>": 1, "</s>": 2}
    single = [{"Sequence": {"id": "A", "type_id": 0}} if piece == "A" else {"SpecialToken": {"id": piece, "type_id": 0}}
              for piece in pieces]
    return {"type": "TemplateProcessing", "single": single,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]} for token, id in ids.items()}}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def byte_tokenizers():
    decoder = {"decoder": BYTE_LEVEL}
    yield "byte level", dict(decoder, pre_tokenizer=BYTE_LEVEL, post_processor=dict(BYTE_LEVEL, trim_offsets=False))
    yield "byte level, prefix space, trimmed", dict(
        decoder, pre_tokenizer=dict(BYTE_LEVEL, add_prefix_space=True),
        post_processor=dict(BYTE_LEVEL, add_prefix_space=True))
    yield "byte level, trimmed without prefix space", dict(decoder, pre_tokenizer=BYTE_LEVEL, post_processor=BYTE_LEVEL)
    yield "bloom", dict(decoder, pre_tokenizer=sequence(
        "pretokenizers", split({"Regex": " ?[^(\\s|[.,!?…。，、।۔،])]+"}, "Isolated"), BYTES_ONLY),
        post_processor=dict(BYTE_LEVEL, trim_offsets=False))
    yield "words, ignore_merges, sequence of post-processors", dict(decoder, pre_tokenizer=sequence(
        "pretokenizers", split({"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                                         " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}, "Isolated"),
        BYTES_ONLY), post_processor=sequence("processors", BYTE_LEVEL, template("<s>", "A")),
        model_options={"ignore_merges": True})
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield form, dict(decoder, normalizer={"type": form}, pre_tokenizer=BYTES_ONLY, more_texts=FORM_TEXTS)
    for left, right in ((True, True), (True, False), (False, True)):
        yield f"strip {left} {right}", dict(
            decoder, normalizer={"type": "Strip", "strip_left": left, "strip_right": right}, pre_tokenizer=BYTE_LEVEL)
    yield "sequence of normalizers", dict(decoder, normalizer=sequence(
        "normalizers", {"type": "NFKD"}, {"type": "Lowercase"},
        {"type": "Replace", "pattern": {"Regex": "\\p{M}|(\\d)"}, "content": "#§"},
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": "»> "}),
        pre_tokenizer=BYTES_ONLY)
    yield "empty sequences", dict(decoder, normalizer=sequence("normalizers"), pre_tokenizer=sequence(
        "pretokenizers", sequence("pretokenizers"), BYTES_ONLY), post_processor=sequence("processors"))
    yield "replace with nothing", dict(
        decoder, normalizer={"type": "Replace", "pattern": {"Regex": "[aeiou]"}, "content": ""}, pre_tokenizer=BYTES_ONLY)
    yield "byte level normalizer", dict(decoder, normalizer={"type": "ByteLevel"})
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield f"split at a text, {behavior}, {invert}", dict(decoder, pre_tokenizer=sequence(
                "pretokenizers", split({"String": "-"}, behavior, invert), BYTES_ONLY))
            yield f"split at an expression, {behavior}, {invert}", dict(decoder, pre_tokenizer=sequence(
                "pretokenizers", split({"Regex": "\\d|\\s|-"}, behavior, invert), BYTES_ONLY))
        yield f"punctuation, {behavior}", dict(decoder, pre_tokenizer=sequence(
            "pretokenizers", {"type": "Punctuation", "behavior": behavior}, BYTES_ONLY))
    yield "split at nothing", dict(
        decoder, pre_tokenizer=sequence("pretokenizers", split({"String": ""}, "Isolated"), BYTES_ONLY))
    yield "split at text that an expression would read otherwise", dict(
        decoder, pre_tokenizer=sequence("pretokenizers", split({"String": "."}, "Removed"), BYTES_ONLY))
    for individual in (False, True):
        yield f"digits, {individual}", dict(decoder, pre_tokenizer=sequence(
            "pretokenizers", {"type": "Digits", "individual_digits": individual}, BYTES_ONLY))
    yield "whitespace", dict(decoder, pre_tokenizer=sequence("pretokenizers", {"type": "Whitespace"}, BYTES_ONLY))
    yield "whitespace split", dict(decoder, pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, BYTES_ONLY))
    yield "byte level before a split", dict(decoder, pre_tokenizer=sequence(
        "pretokenizers", BYTES_ONLY, split({"Regex": "Ġ"}, "MergedWithNext")))
    yield "template with both ends", dict(decoder, pre_tokenizer=BYTE_LEVEL, post_processor=template("<s>", "A", "</s>"))
    yield "no decoder", dict(pre_tokenizer=BYTE_LEVEL)


def fallback_tokenizers():
    prepend = sequence("normalizers", {"type": "Prepend", "prepend": "\u2581"},
                       {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"})
    yield "llama", dict(normalizer=prepend, post_processor=template("<s>", "A"), decoder=FALLBACK_DECODER)
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            yield f"metaspace {scheme}, {cut}", dict(
                pre_tokenizer=metaspace(prepend_scheme=scheme, split=cut),
                decoder={key: value for key, value in metaspace(prepend_scheme=scheme).items()})
    yield "metaspace of another age", dict(
        pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True, "str_rep": "\u2581"},
        decoder={"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True})
    yield "metaspace and fallback", dict(pre_tokenizer=metaspace(prepend_scheme="first", split=False), decoder=sequence(
        "decoders", {"type": "ByteFallback"}, metaspace(prepend_scheme="first")))
    yield "fused, then replaced and stripped", dict(normalizer=prepend, decoder=sequence(
        "decoders", {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Replace", "pattern": {"Regex": "\u2581+"}, "content": " "},
        {"type": "Strip", "content": " ", "start": 1, "stop": 2}))
    yield "no byte fallback", dict(pre_tokenizer=metaspace(), decoder=metaspace(), model_options={"byte_fallback": False})
    yield "no fallback, unknowns apart", dict(
        pre_tokenizer=metaspace(), decoder=metaspace(), model_options={"byte_fallback": False, "fuse_unk": False})
    yield "no unknown token", dict(
        pre_tokenizer=metaspace(), decoder=metaspace(), model_options={"byte_fallback": False, "unk_token": None})


def word_tokenizers():
    for fuse in (False, True):
        yield f"prefix and suffix, fuse_unk {fuse}", dict(
            pre_tokenizer={"type": "WhitespaceSplit"}, model_options={"fuse_unk": fuse},
            decoder=sequence("decoders", {"type": "Replace", "pattern": {"String": "</w>"}, "content": " "},
                             {"type": "Replace", "pattern": {"String": "##"}, "content": ""}))


def added_tokenizers():
    tokens = SPECIALS + [added("[MASK]", lstrip=True), added("[SEP]", rstrip=True), added("[BOTH]", lstrip=True, rstrip=True),
                         added("moon", single_word=True), added("earth"), added("the earth"), added("Norm", normalized=True),
                         added("  gap", normalized=True), added("1969", single_word=True, lstrip=True, special=True)]
    parts = dict(added_tokens=tokens, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL)
    yield "added tokens", parts
    yield "added tokens, lower case", dict(parts, normalizer={"type": "Lowercase"})
    yield "added tokens, trimmed", dict(parts, post_processor=BYTE_LEVEL)


ADDED_TEXTS = [
    "x [MASK] y  [MASK]  [MASK]z [SEP]  a[SEP][BOTH]  b \t[BOTH]\n",
    "moon moons (moon) _moon moon_ honeymoon moon1 moon\u0301 moon\u200d moon. \u24b6moon",
    "the earth, the  earth and earthen earth", "Norm norm NORM xnormx   gap  GAP",
    "in 1969, 19690  1969 a1969 \u00a0\u30001969</s>", "[MASK]", "  [BOTH]  ", "[SEP]  [MASK]  [SEP] [BOTH]",
    "<s><s> </s>x<unk>", "",
]


def byte_places(text):
    places = [0]
    for character in text:
        places.append(places[-1] + len(character.encode()))
    return places


def make_case(tokenizer, text, special):
    encoding = tokenizer.encode(text, add_special_tokens=special)
    places = byte_places(text)
    return [text, special, encoding.ids, [places[start] for start, _ in encoding.offsets],
            [places[end] for _, end in encoding.offsets],
            tokenizer.decode(encoding.ids, skip_special_tokens=False),
            tokenizer.decode(encoding.ids, skip_special_tokens=True)]


def make(name, model_name, model, parts, texts):
    texts = texts + parts.pop("more_texts", [])
    entry = {"name": name, "model": model_name, "model_options": {}, "added_tokens": SPECIALS, "normalizer": None,
             "pre_tokenizer": None, "post_processor": None, "decoder": None}
    entry.update(parts)
    whole = {key: entry[key] for key in ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder")}
    whole.update(version="1.0", truncation=None, padding=None, model=dict(model, **entry["model_options"]))
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    with_template = "TemplateProcessing" in json.dumps(entry["post_processor"])
    entry["cases"] = [make_case(tokenizer, text, special) for text in texts
                      for special in ((False, True) if with_template else (False,))]
    return entry


def write(name, lines):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        file.write(lines)


def main():
    os.makedirs(HERE, exist_ok=True)
    made = {"byte": byte_model(), "fallback": fallback_model(), "word": word_model()}
    entries = [make(name, "byte", made["byte"], parts, TEXTS) for name, parts in byte_tokenizers()]
    # `tokenizers` cannot strip the end of an empty text.
    entries += [make(name, "fallback", made["fallback"], parts, TEXTS[:-1] if "stripped" in name else TEXTS)
                for name, parts in fallback_tokenizers()]
    entries += [make(name, "word", made["word"], parts, TEXTS) for name, parts in word_tokenizers()]
    entries += [make(name, "byte", made["byte"], parts, ADDED_TEXTS) for name, parts in added_tokenizers()]
    compact = {"separators": (",", ":"), "ensure_ascii": True}
    write("models.json", "{" + ",\n".join(f"{json.dumps(k)}:{json.dumps(v, **compact)}" for k, v in made.items()) + "}\n")
    write("cases.json", "[" + ",\n".join(json.dumps(entry, **compact) for entry in entries) + "]\n")
    print(f"{len(entries)} tokenizers, {sum(len(entry['cases']) for entry in entries)} cases")


if __name__ == "__main__":
    main()
