#!/usr/bin/env python3
"""Compares the accuracies of `loam eval` on questions with choices with log-likelihoods of transformers.

The model is a small random Llama with a byte-level BPE tokenizer, in f32. The log-likelihood of an option is computed as
lm-evaluation-harness does: white space at the end of the prompt goes to the option, and the option's tokens are those of the
whole text behind those of the prompt. acc is the share of questions whose right option has the largest sum, acc_norm that of
the largest sum for each character. Prompts are those of no template, of templates with other ends, and of a chat template.

The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = "the a cat dog house river nine seven Paris London Zürich 日本 été runs sleeps because of 1984 x + - ( ) ?".split()
CHAT = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
TEMPLATES = {"colon": "Q: {question}\nA: {answer}", "line": "{question}\n\n{answer}", "bracket": "{question} [{answer}]"}


def draw(generator, most):
    return " ".join(generator.choice(WORDS) for _ in range(generator.randint(1, most)))


def make_questions(count, generator):
    questions = []
    for _ in range(count):
        choices = []
        while len(choices) < generator.randint(2, 5):
            option = draw(generator, 5)
            if option not in choices:
                choices.append(option)
        right = generator.randrange(len(choices))
        # An index, a letter or the text itself.
        answer = generator.choice([right, chr(ord("A") + right), choices[right]])
        questions.append({"question": draw(generator, 12), "choices": choices, "answer": answer, "right": right})
    return questions


def make_model(directory, generator):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=specials, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([draw(generator, 20) for _ in range(500)] + ["Question: Answer:\n"] * 50, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.chat_template = CHAT
    fast.save_pretrained(directory)
    torch.manual_seed(3)
    config = LlamaConfig(vocab_size=len(fast), hidden_size=48, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
                         initializer_range=0.3, eos_token_id=0, bos_token_id=None)
    model = LlamaForCausalLM(config).float().eval()
    model.save_pretrained(directory)
    return fast, model


def likelihood(tokenizer, model, prompt, option):
    spaces = len(prompt) - len(prompt.rstrip(" "))
    if spaces:
        prompt, option = prompt[:-spaces], prompt[-spaces:] + option
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    whole = tokenizer(prompt + option, add_special_tokens=False).input_ids
    with torch.no_grad():
        rows = torch.log_softmax(model(torch.tensor([whole])).logits[0].double(), -1)
    return sum(rows[t - 1, whole[t]].item() for t in range(len(before), len(whole)))


def expect(tokenizer, model, questions, prompt_of):
    right = right_short = 0
    for item in questions:
        prompt, options = prompt_of(item)
        sums = [likelihood(tokenizer, model, prompt, option) for option in options]
        short = [value / len(option) for value, option in zip(sums, options)]
        right += sums.index(max(sums)) == item["right"]
        right_short += short.index(max(short)) == item["right"]
    return 100 * right / len(questions), 100 * right_short / len(questions)


def written(item):
    """The options in the form of the record's answer."""
    if item["answer"] in item["choices"]:
        return item["choices"]
    letters = isinstance(item["answer"], str)
    return [chr(ord("A") + i) if letters else str(i) for i in range(len(item["choices"]))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--loam", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    generator = random.Random(11)
    model_directory = arguments.work / "model"
    tokenizer, model = make_model(model_directory, generator)
    questions = make_questions(arguments.count, generator)
    data = arguments.work / "questions.jsonl"
    data.write_text("".join(json.dumps({k: v for k, v in q.items() if k != "right"}) + "\n" for q in questions))

    def plain(item):
        return f"Question: {item['question']}\nAnswer: ", item["choices"]

    def chat(item):
        messages = [{"role": "user", "content": item["question"]}]
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True), item["choices"]

    cases = {"chat": ([], chat)}
    for name, text in TEMPLATES.items():
        path = arguments.work / f"{name}.txt"
        path.write_text(text)
        start = text[: text.index("{answer}")]
        cases[name] = (["--template", path], lambda item, start=start: (start.format(**item), written(item)))
    bare = arguments.work / "bare"
    bare.mkdir(exist_ok=True)
    for file in model_directory.iterdir():
        (bare / file.name).write_bytes(file.read_bytes())
    (bare / "chat_template.jinja").unlink()
    cases["plain"] = ([], plain)

    failed = 0
    for name, (options, prompt_of) in cases.items():
        command = [arguments.loam, "eval", "--model", bare if name == "plain" else model_directory, "--data", data, "--dtype",
                   "f32", "--threads", "1", "--json", *options]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["choices"]
        expected = expect(tokenizer, model, questions, prompt_of)
        same = (found["count"] == len(questions) and abs(found["accuracy"] - expected[0]) < 1e-6
                and abs(found["accuracy_normalised"] - expected[1]) < 1e-6)
        failed += not same
        print(f"{name}: {found['count']} questions, acc {found['accuracy']:.2f} and {expected[0]:.2f}, acc_norm "
              f"{found['accuracy_normalised']:.2f} and {expected[1]:.2f}{'' if same else ': DIFFERENT'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
