#!/usr/bin/env python3
"""Compares the ids and masks of conversations with transformers' apply_chat_template.

    parity_chat_ids.py --loam build/release/loam --work DIR [--tokenizer TOKENIZER.JSON]... DIRECTORY...

Each chat template below the directories encodes each conversation of parity_chat.py that it renders, with a tokenizer
that has the template's special tokens. The ids must be those of apply_chat_template(tokenize=True). Where the template
has {% generation %}, what loam learns must be transformers' mask of assistant tokens, but for one defect of that mask: of
several tokens of the last character it has only the first. Where the template has no such marks, what loam learns must be
what renderings of the conversation up to each answer show: an answer begins where the prompt for it ends, and ends with the
text up to it, without white space. Conversations whose text does not begin with these renderings are left out and counted.
"""
import argparse
import collections
import datetime
import json
import os
import re
import subprocess
import sys

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

import parity_chat

# Tokens that templates write, and of these the ones that tokenizers do not mark as special.
WRITTEN = re.compile(r"<[|｜][^<>{}'\"\s|｜]+(?:[|｜][^<>{}'\"\s|｜]+)*[|｜]>|<(?:start_of_turn|end_of_turn|end_of_utterance|bos|eos|s|/s)>|<[a-z_]+\|>|<\|[a-z_]+>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|ARGS|CALL_ID|THINK)\]")
PLAIN = re.compile(r"</?(?:think|tool_call|tool_response|tools)>")
# Tokens at which models of these templates stop, beside EOS.
STOPS = ["<|call|>", "<|return|>", "<|tool_response>", "<turn|>", "<|observation|>"]
# Where nothing in the text shows an answer by its place: both messages are empty, or an answer goes on after a tool
# without a header and begins with the template's text.
KNOWN = {("glm4moe.jinja", "empty"), ("gemma4_v5.jinja", "reasoning and tools")}
TEXT = """The quick brown fox jumps over the lazy dog. What is the weather in Bern today? It is 7 degrees, and sunny.
You are a helpful assistant. Hello! Hi, how are you? Thanks, I am well. Answer with yes or no:\n\n1 + 1 = 2\n\n
user assistant system tool content name arguments {"place": "Bern", "days": 2} function call """ * 8


def small_tokenizer(pattern):
    """A byte-level BPE with few merges, as Llama 3 and Qwen have them."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def metaspace_tokenizer():
    """A BPE without words, as Llama 2 and Mistral have it."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")])
    words = sorted(set(TEXT.replace(" ", "▁")))
    vocab = {token: i for i, token in enumerate(["<unk>"] + [f"<0x{b:02X}>" for b in range(256)] + words)}
    merges = []
    for pair in ["▁ t", "▁ a", "t h", "▁t h", "▁th e", "e r", "\n \n", "▁ ▁", "u s", "us er", "▁ H", "▁H i"]:
        left, right = pair.split(" ")
        if left in vocab and right in vocab:
            vocab.setdefault(left + right, len(vocab))
            merges.append((left, right))
    tokenizer.model = models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def prepare(backend, template, tokens, directory):
    """Writes a model directory whose tokenizer has the template's tokens. Returns it as transformers loads it."""
    backend = tokenizers.Tokenizer.from_str(backend.to_str())
    special = sorted(set(WRITTEN.findall(template)) | {t for t in tokens.values() if isinstance(t, str)} | {"<s>", "</s>"})
    backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    backend.add_tokens([AddedToken(t, special=False, normalized=False) for t in sorted(set(PLAIN.findall(template)) - set(special))])
    tokens = {"bos_token": "<s>", "eos_token": "</s>", **{k: v for k, v in tokens.items() if k in ("bos_token", "eos_token", "pad_token", "unk_token")}}
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **tokens)
    made.chat_template = template
    made.save_pretrained(directory)
    with open(os.path.join(directory, "generation_config.json"), "w", encoding="utf-8") as file:
        json.dump({"eos_token_id": [made.eos_token_id] + [made.convert_tokens_to_ids(t) for t in STOPS if t in special]}, file)
    return PreTrainedTokenizerFast.from_pretrained(directory)


def expect(tokenizer, template, messages, tools, mask):
    """Ids and mask, or None where the template refuses the conversation."""
    try:
        made = tokenizer.apply_chat_template(messages, tools=tools, tokenize=True, return_dict=True, chat_template=template,
                                             return_assistant_tokens_mask=mask)
        text = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, chat_template=template)
    except Exception:  # whatever Python raises on the template's behalf
        return None
    if not mask:
        return made["input_ids"], None
    # The tokens of a character that follow the one that transformers found.
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    learnt = list(made["assistant_masks"])
    for i in range(1, len(learnt)):
        learnt[i] = learnt[i] or int(learnt[i - 1] and offsets[i][0] < offsets[i - 1][1])
    return made["input_ids"], learnt


def by_hand(tokenizer, template, messages, tools):
    """The mask from renderings of the conversation up to each answer; None if its text does not begin with them."""
    def render(count, prompt):
        return tokenizer.apply_chat_template(messages[:count], tools=tools, tokenize=False, chat_template=template, add_generation_prompt=prompt)
    answers, one = [], dict(tools=None, tokenize=False, chat_template=template)
    try:
        text = render(len(messages), False)
        hello = [{"role": "user", "content": "Hi"}]
        header = tokenizer.apply_chat_template(hello, add_generation_prompt=True, **one).removeprefix(tokenizer.apply_chat_template(hello, **one))
        for i, message in enumerate(messages):
            if message["role"] == "assistant":
                prompt, answer = render(i, True), render(i + 1, False).rstrip()
                if i == 0 or not (text.startswith(prompt) and text.startswith(answer) and answer.startswith(prompt)):
                    return None
                if header and answer[len(prompt):].startswith(header):
                    return None  # the prompt lacks the header, which no answer has
                answers.append((len(prompt), len(answer)))
    except Exception:  # whatever Python raises on the template's behalf
        return None
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [int(any(start < b and a < end for a, b in answers)) for start, end in offsets]


def ask(loam, directory, documents, options):
    path = os.path.join(directory, "chats.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(d, ensure_ascii=False) + "\n" for d in documents)
    done = subprocess.run([loam, "tokenize", "--model", directory, "--messages", path, "--lines", "--json", "--quiet", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    answers = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
    return answers, done.stderr.decode().strip() if done.returncode != 0 else ""


def strip(tokenizer, ids, mask):
    """A mask without white space behind the end of a turn."""
    mask = list(mask)
    for i in range(len(ids) - 1, -1, -1):
        ends = i + 1 == len(ids) or not mask[i + 1]
        if mask[i] and ends and tokenizer.decode([ids[i]]).strip() == "":
            mask[i] = 0
    return mask


def begins_blank(messages):
    """Whether the last answer begins with white space, which the tokenizer may join with the header."""
    content = messages[-1].get("content") if messages and messages[-1].get("role") == "assistant" else None
    return isinstance(content, str) and content[:1].isspace()


class Comparison:
    def __init__(self, loam, work):
        self.loam, self.work = loam, work
        self.counts, self.failed = collections.Counter(), []

    def fail(self, name, text):
        self.failed.append(f"{name}: {text}")

    def compare(self, name, tokenizer, messages, wanted, answer, by_tags):
        ids, mask = wanted
        if answer["ids"] != ids:
            if begins_blank(messages):
                self.counts["kept the boundary before an answer that begins with white space"] += 1
                return
            at = next((i for i, (a, b) in enumerate(zip(answer["ids"], ids)) if a != b), min(len(ids), len(answer["ids"])))
            self.fail(name, f"ids differ at {at}: loam {answer['tokens'][max(0, at - 3):at + 4]}, "
                            f"transformers {tokenizer.convert_ids_to_tokens(ids[max(0, at - 3):at + 4])}")
            return
        self.counts["equal ids"] += 1
        if mask is None:
            return
        learnt = [int(w > 0) for w in answer["learnt"]]
        if not by_tags:
            mask, learnt = strip(tokenizer, ids, mask), strip(tokenizer, ids, learnt)
            special = [t in tokenizer.all_special_tokens or t in tokenizer.get_added_vocab() for t in answer["tokens"]]
            for i in range(1, len(ids)):  # templates that end no turn: the next header ends it
                if learnt[i] and not mask[i] and mask[i - 1] and special[i]:
                    learnt[i] = 0
        kind = "by {% generation %}" if by_tags else "by provenance"
        if learnt != mask:
            tokens = answer["tokens"]
            at = next(i for i, (a, b) in enumerate(zip(learnt, mask)) if a != b)
            self.fail(name, f"masks {kind} differ at {at}: {tokens[max(0, at - 4):at + 4]} loam {learnt[max(0, at - 4):at + 4]} transformers {mask[max(0, at - 4):at + 4]}")
            return
        self.counts[f"equal masks {kind}"] += 1

    def run(self, name, backend, template, tokens):
        """Compares all conversations."""
        directory = os.path.join(self.work, re.sub(r"\W+", "_", name)[-80:])
        tokenizer = prepare(backend, template, tokens, directory)
        by_tags = re.search(r"\{%-?\s*generation", template) is not None
        cases = []
        for conversation, messages, tools, variables in parity_chat.conversations():
            if variables or not messages:
                continue
            wanted = expect(tokenizer, template, messages, tools, by_tags)
            if wanted is None:
                continue
            if (name.split()[0], conversation) in KNOWN:
                self.counts["known differences, left out"] += 1
                continue
            if not by_tags:
                wanted = wanted[0], by_hand(tokenizer, template, messages, tools)
                self.counts["conversations that cannot be rendered in parts"] += wanted[1] is None
            cases.append((conversation, messages, tools, wanted))
        for options in (["--special-in-content"], []):
            answers, error = ask(self.loam, directory, [{"messages": m, "tools": t} for _, m, t, _ in cases], options)
            if error:
                self.fail(f"{name}, {cases[len(answers)][0]}", error)
            for (conversation, messages, _, wanted), answer in zip(cases, answers):
                if not options and conversation == "special tokens":
                    self.counts["content that spells special tokens, as text"] += 1
                    if tokenizer.decode(answer["ids"]).replace(" ", "") != tokenizer.decode(wanted[0]).replace(" ", ""):
                        self.fail(f"{name}, {conversation}", "the text differs")
                    continue
                self.compare(f"{name}, {conversation}, {options}", tokenizer, messages, wanted, answer, by_tags)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loam", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--tokenizer", action="append", default=[], help="further tokenizer.json files")
    parser.add_argument("--show", type=int, default=20, help="number of differences that are printed")
    parser.add_argument("directories", nargs="+")
    arguments = parser.parse_args()
    chat_template_utils.datetime = datetime.datetime  # loam reads the clock, too
    backends = {"llama3": small_tokenizer(LLAMA3), "qwen": small_tokenizer(LLAMA3.replace("{1,3}", "")), "metaspace": metaspace_tokenizer()}
    backends |= {path: tokenizers.Tokenizer.from_file(path) for path in arguments.tokenizer}
    comparison, seen = Comparison(arguments.loam, arguments.work), set()
    for path, template, tokens in parity_chat.find_templates(arguments.directories):
        if template in seen:
            continue
        seen.add(template)
        for name, backend in backends.items():
            comparison.run(f"{os.path.basename(path)} {os.path.basename(name)}", backend, template, tokens)
    print(f"{len(seen)} templates, {len(backends)} tokenizers: " + ", ".join(f"{n} {k}" for k, n in sorted(comparison.counts.items())) +
          f"; {len(comparison.failed)} differ")
    for line in comparison.failed[:arguments.show]:
        print("  " + line[:800])
    sys.exit(bool(comparison.failed))


if __name__ == "__main__":
    main()
