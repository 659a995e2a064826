#!/usr/bin/env python3
"""Writes goldens/rouge.json: pairs of texts and their ROUGE-L by the package rouge_score, without its stemmer.

    make_rouge_goldens.py            writes the file (tests/parity/requirements.txt)
    make_rouge_goldens.py --check    fails if the committed file differs

tests/parity/evaluate/test_rouge.c compares loam with it.
"""
import json
import os
import random
import sys

from rouge_score import rouge_scorer

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens", "rouge.json")
PAIRS = 400
# Words with capitals, digits, marks and letters whose lower case has ASCII letters (U+0130, the Kelvin sign) or is ASCII in
# other forms (full width, ligatures).
WORDS = ["the", "The", "THE", "cat", "cats", "sat", "on", "a", "mat", "x1", "1", "42", "3.14", "don't", "e-mail", "O'Neil",
         "naïve", "Straße", "ÉTÉ", "été", "İstanbul", "istanbul", "Kelvin", "kelvin", "日本", "日", "привет", "ﬁne",
         "Ａ", "a\u0301", "\u0130", "\u212a", "--", "...", "_", "a_b", "\u00a0", "\u200b", "👍", "x\u2019s", "I", "ı"]
JOINTS = [" ", " ", " ", "  ", "\n", "\t", "-", ", ", ".", "", "\u00a0", "/", "\u3000"]


def draw(generator):
    count = generator.choice([0, 1, 2, 3, 5, 8, 13])
    return "".join(generator.choice(WORDS) + generator.choice(JOINTS) for _ in range(count))


def change(text, generator):
    """A text that has something in common with another one."""
    words = text.split(" ")
    for _ in range(generator.randrange(4)):
        words[generator.randrange(len(words))] = generator.choice(WORDS)
    if generator.random() < 0.3:
        generator.shuffle(words)
    return " ".join(words)


def make():
    generator = random.Random(5)
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    pairs = []
    for _ in range(PAIRS):
        gold = draw(generator)
        prediction = change(gold, generator) if generator.random() < 0.7 else draw(generator)
        pairs.append([prediction, gold, scorer.score(gold, prediction)["rougeL"].fmeasure])
    # The best of several gold texts counts, as in RougeScorer.score_multi.
    several = []
    for _ in range(PAIRS // 10):
        golds = [draw(generator) for _ in range(3)]
        prediction = change(golds[0], generator)
        several.append([prediction, golds, scorer.score_multi(golds, prediction)["rougeL"].fmeasure])
    return json.dumps({"pairs": pairs, "several": several}, indent=0) + "\n"


def main():
    text = make()
    if sys.argv[1:] == ["--check"]:
        with open(PATH, encoding="utf-8") as file:
            if file.read() != text:
                sys.exit(f"{PATH} differs from what rouge_score gives")
        return
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
