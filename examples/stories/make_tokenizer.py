#!/usr/bin/env python3
"""Trains a byte-level BPE tokenizer with BLOOM's way of cutting text into words, and prints its tokenizer.json.

    make_tokenizer.py SIZE <TEXT.jsonl >tokenizer.json

Uses only the standard library. A merge joins a letter only with letters and with the blank before a word, so a name has
one spelling in tokens, with a quotation mark before it or without."""
import collections
import json
import re
import sys

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
# Oniguruma reads the inner brackets as a class within the class; Python's re needs them spelt out.
SPLIT = r" ?[^(\s|[.,!?…。，、।۔،])]+"
WORDS = re.compile(r" ?[^\s(|.,!?…。，、।۔،)]+|\s+(?!\S)|\s|[^\s]")


def byte_symbols():
    """GPT-2's printable character for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in symbols:
            symbols[byte] = chr(256 + len(symbols) - len(plain))
    return symbols


def pairs_of(parts, blank):
    """The pairs of neighbours that a merge may join."""
    return [(left, right) for left, right in zip(parts, parts[1:])
            if right.isalpha() and right.isascii() and (left.lstrip(blank) or blank).isalpha()]


def join(parts, left, right):
    joined = []
    for part in parts:
        if joined and joined[-1] == left and part == right:
            joined[-1] = left + right
        else:
            joined.append(part)
    return joined


def train(counts, size):
    symbols = byte_symbols()
    blank = symbols[32]
    vocabulary = SPECIAL + [symbols[byte] for byte in sorted(symbols, key=lambda byte: symbols[byte])]
    spelt = {word: [symbols[byte] for byte in word.encode()] for word in counts}
    pairs, found_in = collections.Counter(), collections.defaultdict(set)

    def count(word, sign):
        for pair in pairs_of(spelt[word], blank):
            pairs[pair] += sign * counts[word]
            found_in[pair].add(word)

    for word in counts:
        count(word, 1)
    merges = []
    while len(vocabulary) < size:
        # The most frequent pair, of several the first by its characters.
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair), default=("", ""))
        if pairs[left, right] == 0:
            raise SystemExit(f"the text has words for {len(vocabulary)} tokens only")
        merges.append([left, right])
        vocabulary.append(left + right)
        for word in found_in.pop((left, right)):
            count(word, -1)
            spelt[word] = join(spelt[word], left, right)
            count(word, 1)
        del pairs[left, right]
    return vocabulary, merges


def main():
    counts = collections.Counter()
    for line in sys.stdin:
        counts.update(WORDS.findall(json.loads(line)["text"]))
    vocabulary, merges = train(counts, int(sys.argv[1]))
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    json.dump({
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for i, token in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}, level]},
        "post_processor": None,
        "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {token: i for i, token in enumerate(vocabulary)}, "merges": merges},
    }, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
