#!/usr/bin/env python3
"""Compares loam's tokenizer with Hugging Face's `tokenizers`, token by token.

    parity_tokenizer.py --records build/release/bench/tokenizer_records [--squad FILE]... TOKENIZER.JSON...

For each tokenizer it compares every code point, --count random strings, and every context of the SQuAD files. Ids, byte
offsets and decoded text (with and without special tokens, and streamed) must be equal. loam must refuse a string that is
not UTF-8 with a message that names the byte. With --parts it makes the same comparisons, without SQuAD, for a small
tokenizer of each normalizer, pre-tokenizer and kind of expression that depends on Unicode. Exit code 1 if anything differs.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
from tokenizers import Tokenizer  # noqa: E402

BATCH = 2000


def run_loam(records, path, texts, special):
    """Yields (ids, offsets, decoded, decoded without special tokens, streamed) or the message of a refusal."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        for text in texts:
            source.write(struct.pack("=I", len(text)) + text)
        source.seek(0)
        mode = "special" if special else "plain"
        subprocess.run([records, path, mode], stdin=source, stdout=target, check=True)
        target.seek(0)
        for _ in texts:
            (count,) = struct.unpack("=i", target.read(4))
            if count < 0:
                (size,) = struct.unpack("=I", target.read(4))
                yield target.read(size).decode()
                continue
            numbers = struct.unpack(f"={3 * count}I", target.read(12 * count))
            decoded = []
            for _ in range(3):
                (size,) = struct.unpack("=I", target.read(4))
                decoded.append(target.read(size).decode())
            offsets = list(zip(numbers[count : 2 * count], numbers[2 * count :]))
            yield list(numbers[:count]), offsets, *decoded


def byte_offsets(text, offsets):
    """Converts offsets in characters, as the Python package returns them, to offsets in bytes."""
    if text.isascii():
        return list(offsets)
    places = [0]
    for character in text:
        places.append(places[-1] + len(character.encode()))
    return [(places[start], places[end]) for start, end in offsets]


def expected(tokenizer, text, special):
    encoding = tokenizer.encode(text, add_special_tokens=special)
    decoded = tokenizer.decode(encoding.ids, skip_special_tokens=False)
    bare = tokenizer.decode(encoding.ids, skip_special_tokens=True)
    return encoding.ids, byte_offsets(text, encoding.offsets), decoded, bare, decoded


FIELDS = ("ids", "offsets", "decoded", "decoded without special tokens", "streamed")


def compare(tokenizer, records, path, texts, special, report):
    """The texts (bytes) that differ, as (text, field); invalid UTF-8 must be refused at the right byte."""
    bad = []
    for start in range(0, len(texts), BATCH):
        chunk = texts[start : start + BATCH]
        for text, got in zip(chunk, run_loam(records, path, chunk, special)):
            try:
                valid = text.decode()
            except UnicodeDecodeError as problem:
                if not isinstance(got, str) or f"at byte {problem.start} " not in got:
                    bad.append((text, "refusal"))
                report["refused"] += 1
                continue
            want = expected(tokenizer, valid, special)
            report["compared"] += 1
            if isinstance(got, str):
                bad.append((text, got))
                continue
            for field, one, other in zip(FIELDS, want, got):
                if one != other:
                    bad.append((text, field))
                    break
    return bad


def sweep(tokenizer, records, path):
    """Code points that the two libraries tokenise differently on their own: amid letters, digits and spaces, and
    beside marks of the lowest and the highest combining class, which normal forms move across marks that they
    know."""
    points = [p for p in range(0x110000) if not 0xD800 <= p <= 0xDFFF]
    texts = [f"a{chr(p)}b {chr(p)}1 {chr(p)}{chr(p)}. e{chr(p)}\u0334 e\u0345{chr(p)}xyz{chr(p)}zyx{chr(p)}" for p in points]
    encoded = [text.encode() for text in texts]
    different = []
    for start in range(0, len(points), 50 * BATCH):
        stop = start + 50 * BATCH
        want = tokenizer.encode_batch_fast(texts[start:stop], add_special_tokens=False)
        for point, one, got in zip(points[start:stop], want, run_loam(records, path, encoded[start:stop], False)):
            if isinstance(got, str) or one.ids != got[0]:
                different.append(point)
    return different


def ranges(points):
    """[1, 2, 3, 7] as "U+0001-0003 U+0007"."""
    parts = []
    for point in points:
        if parts and parts[-1][1] == point - 1:
            parts[-1][1] = point
        else:
            parts.append([point, point])
    return " ".join(f"U+{a:04X}" if a == b else f"U+{a:04X}-{b:04X}" for a, b in parts)


EMOJI = ["👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "❤️", "🇫🇷", "1️⃣", "🧑🏿‍🚀", "👨‍⚕️", "🤦🏼‍♀️", "\u200d", "\ufe0f", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
WORDS = ("the of and Moon Earth orbits tokenizer don't I'LL they're it's we'd Ünïcödé naïve façade Größe año "
         "東京 こんにちは 한국어 русский العربية हिन्दी ไทย ελληνικά עברית e\u0301 o\u0308\u0304 ﬁ ½ Ⅷ İstanbul ǅ").split()
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u0085", "\u200b", "\u2581"]
BROKEN = [b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\xfe"]


def random_point(rng):
    planes = [(0x20, 0x7E), (0x80, 0x24F), (0x250, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF),
              (0x20000, 0x3FFFF), (0x40000, 0xDFFFF), (0xE0000, 0xEFFFF), (0xF0000, 0x10FFFF), (0, 0x1F), (0x300, 0x36F)]
    low, high = rng.choice(planes)
    return chr(rng.randint(low, high))


def random_part(rng, specials):
    kind = rng.randrange(12)
    if kind < 3:
        return rng.choice(WORDS)
    if kind == 3:
        return rng.choice(SPACES) * rng.choice([1, 1, 2, 3, 17])
    if kind == 4:
        return " " * rng.choice([1, 2, 5, 64, 300])
    if kind == 5:
        return "".join(rng.choice("0123456789") for _ in range(rng.choice([1, 3, 4, 25])))
    if kind == 6:
        return "".join(rng.choice(EMOJI) for _ in range(rng.randint(1, 3)))
    if kind == 7 and specials:
        return rng.choice(specials)
    if kind == 8:
        return "".join(rng.choice(".,!?;:'\"()[]{}<>/\\|@#$%^&*-_=+`~") for _ in range(rng.randint(1, 6)))
    if kind == 9:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.choice([1, 5, 60])))
    return "".join(random_point(rng) for _ in range(rng.randint(1, 8)))


def random_texts(rng, count, specials):
    for _ in range(count):
        parts = [random_part(rng, specials) for _ in range(rng.randint(0, 12))]
        if rng.random() < 0.5:
            parts = [rng.choice(["", " "]) + part for part in parts]
        text = "".join(parts).encode()
        if rng.random() < 0.05:
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(BROKEN) + text[at:]
        yield text


def squad_contexts(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for article in json.load(file)["data"]:
                for paragraph in article["paragraphs"]:
                    yield paragraph["context"].encode()


EXPRESSIONS = (
    r"\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]", r"[^\W_]+", r"\b", r"\B", r"[[:punct:]]+", r"\p{Lu}?[\p{Ll}\p{M}]+",
    r"(?i:'s|'t|k)|[^\r\n\p{L}\p{N}]?\p{L}+", r"(?i)[\p{Lu}&&\p{Greek}]+", r"(?i:[\p{Ll}])", r"(?i:ß|ﬁ|ɤ)",
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]+", r"\p{Emoji_Presentation}|\p{Extended_Pictographic}", r"\P{Assigned}+",
    r"[\p{P}\p{S}&&[^\p{ASCII}]]+", r"[[:alnum:][:^graph:]]+", r"\s+(?!\S)|\s+", r"\p{In_Thai}|\p{Cyrillic}",
)


def split(pattern):
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


def write_parts(directory):
    """Writes tokenizers of one part each, with a token for every byte and a mark at the beginning of each piece."""
    bytes_ = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in bytes_]
    letters = [chr(byte) for byte in bytes_] + [chr(0x100 + index) for index in range(len(others))]
    normalizers = [{"type": kind} for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase")]
    normalizers += [{"type": "Strip", "strip_left": True, "strip_right": True},
                    {"type": "Replace", "pattern": {"Regex": r"\p{M}+|\W\d"}, "content": "<>"}]
    pretokenizers = [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Isolated"},
                     {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False},
                     {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]
    pretokenizers += [split({"Regex": expression}) for expression in EXPRESSIONS]
    mark = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    parts = [(part, None) for part in normalizers] + [(None, part) for part in pretokenizers]
    added = [{"id": 256 + i, "content": text, "single_word": i == 0, "lstrip": i == 1, "rstrip": i == 1, "normalized": False,
              "special": False} for i, text in enumerate(("xyz", "zyx"))]
    for index, (normalizer, pretokenizer) in enumerate(parts):
        cut = [pretokenizer, mark] if pretokenizer else []
        if pretokenizer and pretokenizer["type"] == "ByteLevel":
            cut = [pretokenizer]
        steps = cut if cut == [pretokenizer] else [*cut, byte_level]
        path = os.path.join(directory, f"{index:02}-{(normalizer or pretokenizer)['type']}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
                       "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}, "post_processor": None,
                       "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
                       "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                                 "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                                 "vocab": {letter: i for i, letter in enumerate(letters)}, "merges": []}}, file)
        print(json.dumps(normalizer or pretokenizer, ensure_ascii=False))
        yield path


def check(path, options, squad):
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    print(f"== {path}")
    different = sweep(tokenizer, options.records, path)
    print(f"code points: 1112064 compared, {len(different)} differ" + (f": {ranges(different)}" if different else ""))
    specials = [token.content for token in tokenizer.get_added_tokens_decoder().values()][:50]
    rng = random.Random(options.seed)
    failed = bool(different)
    for special in (False, True):
        for name, texts in (
            ("random strings", list(random_texts(rng, options.count // 2, specials))),
            ("SQuAD contexts", list(squad_contexts(squad))),
        ):
            if not texts:
                continue
            report = {"compared": 0, "refused": 0}
            bad = compare(tokenizer, options.records, path, texts, special, report)
            print(f"{name}, {'with' if special else 'without'} special tokens: {report['compared']} compared, "
                  f"{report['refused']} not UTF-8 and refused, {len(bad)} differ")
            for text, field in bad[: options.show]:
                print(f"  {field}: {text!r}")
            failed = failed or bool(bad)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", required=True, help="the tokenizer_records executable")
    parser.add_argument("--squad", action="append", default=[], help="a SQuAD file whose contexts are compared")
    parser.add_argument("--count", type=int, default=20000, help="random strings for each tokenizer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="how many differences to show")
    parser.add_argument("--parts", action="store_true", help="small tokenizers of one part each, too")
    parser.add_argument("tokenizers", nargs="*", metavar="TOKENIZER.JSON")
    options = parser.parse_args()
    failed = [path for path in options.tokenizers if check(path, options, options.squad)]
    with tempfile.TemporaryDirectory() as directory:
        failed += [path for path in (write_parts(directory) if options.parts else ()) if check(path, options, [])]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
