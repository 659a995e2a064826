#!/usr/bin/env python3
"""Compares the speed of loam's tokenizer and of the `tokenizers` package, on one thread, in processor time.

    tokenizer_vs_hf.py --bench build/release/bench/bench_tokenizer --squad FILE... -- TOKENIZER.JSON...

The texts are the contexts of the SQuAD files, and words of 0.25 to 2 MB, which show how the time grows with the
length of a word: letters with the frequencies of English, and one repeated letter. The best of several passes
counts. For `tokenizers` the faster of encode_batch, which returns offsets as loam does, and encode_batch_fast,
which does not, counts. Prints one JSON object per line. Exit code 1 if loam is slower.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

LETTERS = "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrrddddllllcccuuummmwwffggyyppbbvkjxqz"
MEGABYTE = 1 << 20
PASSES = 3


def time_loam(bench, tokenizer, texts):
    with tempfile.NamedTemporaryFile() as file:
        file.write("\0".join(texts).encode())
        file.flush()
        done = subprocess.run([bench, tokenizer, file.name, "1"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def time_hf(tokenizer, texts):
    best = {}
    for name in ("encode_batch", "encode_batch_fast"):
        for _ in range(PASSES):
            start = time.process_time()
            getattr(tokenizer, name)(texts, add_special_tokens=False)
            spent = time.process_time() - start
            best[name] = min(best.get(name, spent), spent)
    return best


def corpora(squad):
    contexts = []
    for path in squad:
        with open(path, encoding="utf-8") as file:
            for article in json.load(file)["data"]:
                contexts += [paragraph["context"] for paragraph in article["paragraphs"]]
    if contexts:
        yield "SQuAD contexts", contexts
    rng = random.Random(1)
    letters = "".join(rng.choice(LETTERS) for _ in range(2 * MEGABYTE))
    for quarter in (1, 2, 4, 8):
        yield f"letters without a space, {quarter / 4} MB", [letters[: quarter * MEGABYTE // 4]]
    for quarter in (1, 2, 4, 8):
        yield f"one letter, {quarter / 4} MB", ["a" * (quarter * MEGABYTE // 4)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the bench_tokenizer executable")
    parser.add_argument("--squad", nargs="*", default=[], help="SQuAD files")
    parser.add_argument("tokenizers", nargs="+", metavar="TOKENIZER.JSON")
    options = parser.parse_args()
    slower = False
    for path in options.tokenizers:
        tokenizer = Tokenizer.from_file(path)
        for name, texts in corpora(options.squad):
            loam = time_loam(options.bench, path, texts)
            hf = time_hf(tokenizer, texts)
            ratio = min(hf.values()) / loam["best_seconds"]
            slower = slower or ratio < 1
            print(json.dumps({
                "tokenizer": os.path.basename(path), "text": name, "bytes": loam["bytes"], "tokens": loam["tokens"],
                "loam_seconds": loam["best_seconds"], "loam_mb_per_second": loam["best_mb_per_second"],
                "encode_batch_seconds": round(hf["encode_batch"], 6),
                "encode_batch_fast_seconds": round(hf["encode_batch_fast"], 6),
                "times_as_fast": round(ratio, 2)}), flush=True)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
