#!/usr/bin/env python3
"""Compares loam's way from conversations to ids and weights with the package `tokenizers` for the rendered text alone.

    chats_vs_hf.py --build build/release --tokenizers DIRECTORY [--squad FILE...] [--chats N] [CASE...]

loam reads the JSON lines, renders the chat template, encodes the text, and finds what is learnt: the work of `loam
train` and `loam data`. `tokenizers` gets the texts as loam rendered them and encodes them, by a loop of encode, by
encode_batch, which returns offsets as loam does, and by encode_batch_fast, which does not; the fastest counts. Each side has
one thread and is measured in processor time. The conversations are cut into ten files, and both sides take turns file by
file.

A conversation has one to three questions with their answers, some behind a system message. Questions, passages and answers come from the SQuAD files; without them, words are
made up. DIRECTORY has gpt2-tokenizer.json and mistral01-tokenizer.json, whose vocabularies get the special tokens and
the pre-tokenizer of each case. With --template CASE=FILE a case has another template than the built-in one.

Prints one JSON object per line. Last comes the time to the first step of `loam train`, with all conversations and with
100 of them, on a model of 0.4 million parameters. Exit code 1 if loam is slower than `tokenizers` in any case.
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

SLICES = 10
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def split(expression):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}, BYTE_LEVEL]}


SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
SPLIT_SPACES = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}

# Name: vocabulary, template, special tokens, and what differs from the vocabulary's own tokenizer.
CASES = {
    "gpt2": ("gpt2", "chatml", ["<|im_start|>", "<|im_end|>"], {}, {}),
    "qwen": ("gpt2", "chatml", ["<|im_start|>", "<|im_end|>"],
             {"normalizer": {"type": "NFC"}, "pre_tokenizer": split(QWEN)}, {}),
    "llama3": ("gpt2", "llama3", ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
               {"pre_tokenizer": split(LLAMA3)}, {"ignore_merges": True}),
    "mistral": ("mistral01", "mistral", ["[INST]", "[/INST]"], {}, {}),
    "gemma": ("mistral01", "gemma", ["<bos>", "<start_of_turn>", "<end_of_turn>"],
              {"normalizer": SPACES, "pre_tokenizer": SPLIT_SPACES}, {}),
}
BOS = {"gpt2": "<|endoftext|>", "qwen": "<|im_end|>", "llama3": "<|begin_of_text|>", "mistral": "<s>", "gemma": "<bos>"}
EOS = {"gpt2": "<|endoftext|>", "qwen": "<|im_end|>", "llama3": "<|eot_id|>", "mistral": "</s>", "gemma": "<end_of_turn>"}


def make_model(case, tokenizers, directory):
    """Writes the tokenizer of a case and its configuration."""
    vocabulary, _, specials, parts, model = CASES[case]
    with open(os.path.join(tokenizers, f"{vocabulary}-tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    tokenizer["model"].update(model)
    tokenizer.update(parts, post_processor=None)
    size = len(tokenizer["model"]["vocab"])
    for i, text in enumerate(specials):
        tokenizer["added_tokens"].append({"id": size + i, "content": text, "single_word": False, "lstrip": False,
                                          "rstrip": False, "normalized": False, "special": True})
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file, ensure_ascii=False)
    with open(os.path.join(directory, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"bos_token": BOS[case], "eos_token": EOS[case]}, file)
    return size + len(specials)


def read_squad(paths):
    """Lists (passage, [(question, answer)])."""
    passages = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for article in json.load(file)["data"]:
                for paragraph in article["paragraphs"]:
                    pairs = [(qa["question"].strip(), qa["answers"][0]["text"] if qa["answers"] else "I do not know.")
                             for qa in paragraph["qas"]]
                    if pairs:
                        passages.append((paragraph["context"], pairs))
    return passages


def make_passages(rng):
    """Made-up passages, where there is no SQuAD file. Words are as long and as unevenly frequent as those of a text."""
    letters = "etaoinshrdlucmwfgypbvkjxqz"
    words = ["".join(rng.choices(letters, range(26, 0, -1), k=rng.randint(2, 9))) for _ in range(20000)]
    weights = [1 / (i + 1) for i in range(len(words))]

    def sentence(count, end):
        return " ".join(rng.choices(words, weights, k=count)).capitalize() + end
    return [(" ".join(sentence(rng.randint(8, 24), ".") for _ in range(5)),
             [(sentence(rng.randint(6, 14), "?"), sentence(rng.randint(1, 4), "")) for _ in range(5)])
            for _ in range(2000)]


def make_chat(rng, passages):
    """A system message in one of three; a question with its passage, then more questions; short and long answers."""
    passage, pairs = rng.choice(passages)
    sentences = passage.split(". ")
    messages = []
    if rng.random() < 1 / 3:
        messages.append({"role": "system", "content": "You answer questions about a passage. Be brief and exact."})
    for turn in range(rng.randint(1, 3)):
        question, answer = rng.choice(pairs)
        asked = f"{passage}\n\n{question}" if turn == 0 and rng.random() < 0.5 else question
        if rng.random() < 0.5:
            answer = f"{answer}.\n\n" + ". ".join(rng.sample(sentences, min(len(sentences), rng.randint(1, 3))))
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": messages}


def write_slices(options, directory):
    rng = random.Random(1)
    passages = read_squad(options.squad) or make_passages(rng)
    paths = []
    for i in range(SLICES):
        paths.append(os.path.join(directory, f"chats-{i}.jsonl"))
        with open(paths[-1], "w", encoding="utf-8") as file:
            for _ in range(options.chats // SLICES):
                file.write(json.dumps(make_chat(rng, passages), ensure_ascii=False) + "\n")
    return paths


# ---- One case ----

def run_loam(options, model, template, path, *more):
    bench = os.path.join(options.build, "bench", "bench_chats")
    done = subprocess.run([bench, model, template, path, *more], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout) if not more else None


def run_hf(tokenizer, texts):
    """Processor time of each way, and the number of tokens."""
    spent = {}
    start = time.process_time()
    tokens = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
    spent["encode"] = time.process_time() - start
    for name in ("encode_batch", "encode_batch_fast"):
        start = time.process_time()
        getattr(tokenizer, name)(texts, add_special_tokens=False)
        spent[name] = time.process_time() - start
    return spent, tokens


def measure(options, case, slices, directory):
    model = os.path.join(directory, case)
    make_model(case, options.tokenizers, model)
    template = dict(pair.split("=", 1) for pair in options.template).get(case, CASES[case][1])
    tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    loam = {}
    hf = {}
    tokens = size = 0
    for path in slices:
        run_loam(options, model, template, path, os.path.join(directory, "texts"))
        with open(os.path.join(directory, "texts"), encoding="utf-8", newline="") as file:
            texts = file.read().split("\0")[:-1]
        size += sum(len(text.encode()) for text in texts)
        for key, value in run_loam(options, model, template, path).items():
            if key != "digest":
                loam[key] = loam.get(key, 0) + value
        spent, found = run_hf(tokenizer, texts)
        tokens += found
        for key, value in spent.items():
            hf[key] = hf.get(key, 0) + value
    best = min(hf.values())
    return {
        "case": case, "template": os.path.basename(template), "chats": loam["chats"], "bytes": size,
        "tokens": loam["tokens"], "tokenizers_tokens": tokens, "learnt": loam["learnt"],
        "loam_open_seconds": round(loam["open_seconds"], 3), "loam_seconds": round(loam["read_seconds"], 3),
        **{f"{key}_seconds": round(value, 3) for key, value in hf.items()},
        "loam_mb_per_second": round(size / loam["read_seconds"] / 1e6, 2),
        "tokenizers_mb_per_second": round(size / best / 1e6, 2),
        "times_as_fast": round(best / loam["read_seconds"], 2)}


# ---- The first step ----

def time_first_step(options, model, path):
    """Seconds on the clock from the start of `loam train` to its report of the first step: the best of three."""
    best = None
    for i in range(3):
        command = [os.path.join(options.build, "loam"), "train", "--model", model, "--chat-template", "chatml", "--data",
                   path, "--out", os.path.join(os.path.dirname(path), f"out-{os.path.basename(path)}-{i}"), "--max-steps", "1",
                   "--logging-steps", "1", "--threads", "1", "--preflight", options.preflight]
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        seconds = None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if seconds is None and line.startswith("step 1"):
                seconds = time.monotonic() - start
        if process.wait() != 0 or seconds is None:
            sys.exit("loam train: no first step:\n" + "".join(lines))
        best = seconds if best is None else min(best, seconds)
    return best


def measure_first_step(options, slices, directory):
    model = os.path.join(directory, "first")
    vocabulary = make_model("gpt2", options.tokenizers, model)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 16,
              "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": vocabulary,
              "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "hidden_act": "silu",
              "rope_theta": 10000.0, "bos_token_id": vocabulary - 3, "eos_token_id": vocabulary - 3}
    with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    subprocess.run([os.path.join(options.build, "loam"), "init", "--config", os.path.join(model, "config.json"), "--out",
                    model, "--overwrite"], check=True, stdout=subprocess.DEVNULL)
    whole, few = os.path.join(directory, "all.jsonl"), os.path.join(directory, "few.jsonl")
    with open(whole, "wb") as out:
        for path in slices:
            with open(path, "rb") as file:
                out.write(file.read())
    with open(whole, "rb") as file, open(few, "wb") as out:
        for _ in range(100):
            out.write(file.readline())
    return {"chats": options.chats, "bytes": os.path.getsize(whole),
            "first_step_seconds": round(time_first_step(options, model, whole), 3),
            "first_step_seconds_of_100": round(time_first_step(options, model, few), 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="the directory of a release build")
    parser.add_argument("--tokenizers", required=True, help="the directory of the vocabularies")
    parser.add_argument("--squad", nargs="*", default=[], help="SQuAD files")
    parser.add_argument("--chats", type=int, default=100000, help="number of conversations, a multiple of ten")
    parser.add_argument("--template", action="append", default=[], metavar="CASE=FILE")
    parser.add_argument("--preflight", default="warn", help="of loam train")
    parser.add_argument("--no-first-step", action="store_true", help="leave loam train out")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default: all")
    options = parser.parse_args()
    slower = False
    with tempfile.TemporaryDirectory() as directory:
        slices = write_slices(options, directory)
        for case in options.cases or CASES:
            result = measure(options, case, slices, directory)
            slower = slower or result["times_as_fast"] < 1
            print(json.dumps(result), flush=True)
        if not options.no_first_step:
            print(json.dumps(measure_first_step(options, slices, directory)), flush=True)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
