#!/usr/bin/env python3
"""Compares loam with PyTorch, transformers and PEFT on one model: training, the saved adapter, generation.

 1. PEFT makes an adapter (A random, B zero). PEFT and loam train it on the same SQuAD batches, and the losses, gradient
    norms and learning rates of every step are compared. PEFT gets padded batches from its collators; loam packs them.
 2. PEFT loads the adapter that loam saved and must give loam's logits.
 3. Both generate greedily from 20 prompts, with that adapter and without, and must give the same tokens.

All computations are in float32. The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, Trainer, get_linear_schedule_with_warmup
from transformers.utils import logging

PROMPT = "### CONTEXT\n{context}\n\n### QUESTION\n{question}\n\n### ANSWER\n"
OPENINGS = [
    "Once upon a time, there was a little dog named Max.",
    "The sun was shining and Lily went to the park with",
    "Tom had a big red ball. One day",
    "One day, a girl found a box in the",
    "\"Do not be sad,\" said the old bear.",
    "The history of the city begins in",
    "In 1969 the first people",
    "Water boils at",
    "def add(a, b):",
    "A small boat went out to sea, and",
]
NO_ANSWER = "Can not find answer"
IGNORED = -100
WEIGHT_DECAY = 0.01

# Tolerances: absolute for losses, relative for the others. float32 sums in another order differ by a few 1e-7, and fifty
# steps of AdamW, which divides small gradients by their own size, increase the difference. For a vocabulary of 49,152,
# PyTorch's log_softmax in float32 is 1.6e-5 below its result in float64; loam's loss has no such deviation.
LOSS_TOLERANCE = 1e-4
NORM_TOLERANCE = 1e-3
LOGIT_TOLERANCE = 1e-4


class Text:
    """The model directory's tokenizer, with BOS and EOS from its configuration."""

    def __init__(self, directory):
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        config = json.loads((directory / "config.json").read_text())
        settings = directory / "tokenizer_config.json"
        settings = json.loads(settings.read_text()) if settings.exists() else {}
        self.bos, self.eos = config["bos_token_id"], config["eos_token_id"]
        self.add_bos = settings.get("add_bos_token", False)
        self.eos_text = self.tokenizer.id_to_token(self.eos)

    def encode(self, text):
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return [self.bos] + ids if self.add_bos and ids[:1] != [self.bos] else ids

    def prompt(self, record):
        return self.encode(PROMPT.format(**record))

    def example(self, record):
        return self.encode(PROMPT.format(**record) + record["answer"] + self.eos_text)


def squad_records(path):
    for article in json.loads(path.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                answers = qa["answers"]
                yield dict(id=qa["id"], context=paragraph["context"], question=qa["question"], answers=answers,
                           answer=answers[0]["text"] if answers else NO_ANSWER)


def pick(records, count, fits, per_context):
    """The first `count` records that fit, at most `per_context` of one paragraph."""
    picked, seen = [], {}
    for record in records:
        seen.setdefault(record["context"], 0)
        if seen[record["context"]] < per_context and fits(record):
            seen[record["context"]] += 1
            picked.append(record)
            if len(picked) == count:
                return picked
    sys.exit(f"parity: only {len(picked)} records are short enough, {count} are needed; raise --max-length")


def write_squad(records, path):
    paragraphs = [
        dict(context=r["context"], qas=[dict(id=r["id"], question=r["question"], answers=r["answers"],
                                             is_impossible=not r["answers"])])
        for r in records
    ]
    path.write_text(json.dumps(dict(version="v2.0", data=[dict(title="parity", paragraphs=paragraphs)])))


def load_base(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()


def padded_loss(model, batch, pad):
    """The loss as the Trainer computes it: padded to the longest, mean over the labels that count after the shift."""
    longest = max(len(ids) for ids in batch)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids in batch])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in batch])
    logits = model(input_ids=ids, attention_mask=mask).logits
    labels = ids.masked_fill(mask == 0, IGNORED)
    total = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum")
    return total / int((labels[:, 1:] != IGNORED).sum())


def train_peft(model, batches, learning_rate, pad):
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    assert all(n in decayed for n, p in model.named_parameters() if p.requires_grad)
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = get_linear_schedule_with_warmup(optimiser, 0, len(batches))
    rows = []
    for batch in batches:
        loss = padded_loss(model, batch, pad)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        rows.append(dict(loss=float(loss.detach()), grad_norm=float(norm), learning_rate=schedule.get_last_lr()[0]))
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    with torch.no_grad():
        again = float(padded_loss(model, batches[0], pad))
    return rows, again / rows[0]["loss"]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"parity: {' '.join(str(part) for part in command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def train_loam(loam, model, data, start, out, steps, batch, learning_rate, max_length):
    run(loam, "train", "--model", model, "--data", data, "--adapter", start, "--out", out, "--overwrite",
        "--no-shuffle", "--max-steps", steps, "--per-device-train-batch-size", batch, "--learning-rate", learning_rate,
        "--weight-decay", WEIGHT_DECAY, "--max-length", max_length, "--logging-steps", 1, "--dtype", "f32")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


class Report:
    def __init__(self):
        self.failed = False

    def check(self, what, value, bound):
        good = value < bound  # false for NaN
        self.failed |= not good
        print(f"  {'ok  ' if good else 'FAIL'} {what}: {value:.2e} (below {bound:.0e})")

    def equal(self, what, good, total):
        self.failed |= good != total
        print(f"  {'ok  ' if good == total else 'FAIL'} {what}: {good} of {total}")


def compare_training(report, ours, reference):
    report.equal("steps logged", len(ours), len(reference))
    print("    step   PEFT loss   loam loss  difference")
    for step, (a, b) in enumerate(zip(reference, ours), 1):
        print(f"    {step:4d}  {a['loss']:10.6f}  {b['loss']:10.6f}  {b['loss'] - a['loss']:+.1e}")
    pairs = list(zip(reference, ours))
    report.check("largest difference of a loss", max(abs(a["loss"] - b["loss"]) for a, b in pairs), LOSS_TOLERANCE)
    report.check("largest relative difference of a gradient norm",
                 max(abs(b["grad_norm"] / a["grad_norm"] - 1) for a, b in pairs), NORM_TOLERANCE)
    report.check("largest relative difference of a learning rate",
                 max(abs(b["learning_rate"] / a["learning_rate"] - 1) for a, b in pairs), 1e-6)


def relative(a, b):
    return float((a - b).norm() / b.norm())


def compare_adapter(report, model, trained, out):
    """Compares the adapter that PEFT loads from loam's directory with the one that PEFT trained."""
    saved = load_file(out / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(model)
    report.equal("tensors of loam's adapter that PEFT loads unchanged",
                 sum(name in loaded and torch.equal(loaded[name], saved[name]) for name in saved), len(loaded))
    difference = sum(float((saved[n] - trained[n]).norm()) ** 2 for n in trained) ** 0.5
    size = sum(float(t.norm()) ** 2 for t in trained.values()) ** 0.5
    report.check("relative difference of the trained adapters", difference / size, 1e-2)


def compare_logits(report, arguments, model, out, sequences):
    source, target = arguments.work / "sequences.json", arguments.work / "logits.safetensors"
    source.write_text(json.dumps({"sequences": sequences}))
    run(arguments.logits, arguments.model, out, source, target)
    ours = load_file(target)["logits"]
    with torch.no_grad():
        reference = torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in sequences])
    report.check(f"relative difference of the logits of {len(reference)} tokens", relative(ours, reference), LOGIT_TOLERANCE)
    report.equal("likeliest tokens that agree", int((ours.argmax(-1) == reference.argmax(-1)).sum()), len(reference))


def generate_peft(model, text, prompt, count):
    """The new tokens without the end of sequence."""
    prompt = torch.tensor([prompt])
    ids = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count,
                         eos_token_id=text.eos, pad_token_id=text.eos)
    ids = ids[0, prompt.shape[1]:].tolist()
    return ids[: ids.index(text.eos)] if text.eos in ids else ids


def compare_generation(report, arguments, model, text, adapter, prompts):
    """`adapter`: its directory, or None for the base alone."""
    same, tokens, answers = 0, 0, set()
    for prompt, options in prompts:
        options = [*options, "--adapter", adapter] if adapter else options
        ours = json.loads(run(arguments.loam, "generate", "--model", arguments.model, "--max-new-tokens",
                              arguments.new_tokens, "--dtype", "f32", "--json", *options))
        reference = generate_peft(model, text, prompt, arguments.new_tokens)
        good = ours["ids"] == reference and ours["text"] == text.tokenizer.decode(reference, skip_special_tokens=True)
        same += good
        tokens += len(reference)
        answers.add(tuple(reference))
        if not good:
            print(f"    {options}: PEFT {reference}, loam {ours['ids']} {ours['text']!r}")
    print(f"    {tokens} tokens, {len(answers)} different answers, such as {ours['text']!r}")
    report.equal("prompts with the same tokens and text", same, len(prompts))
    if tokens < 4 * len(prompts):
        report.failed = True
        print("  FAIL hardly any token was generated: little was compared")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    path = dict(type=Path, required=True)
    parser.add_argument("--model", help="Hugging Face checkpoint with a tokenizer", **path)
    parser.add_argument("--data", help="SQuAD file to train on", **path)
    parser.add_argument("--prompts", help="SQuAD file to take prompts from", **path)
    parser.add_argument("--loam", help="the command", **path)
    parser.add_argument("--logits", help="the program loam_logits", **path)
    parser.add_argument("--work", help="directory to write to", **path)
    parser.add_argument("--targets", default=None, help="target modules (default: PEFT's)")
    parser.add_argument("--steps", type=int, default=50, help="0: only compare what the base generates")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=256, help="longer examples are passed over")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--prompt-count", type=int, default=20)
    parser.add_argument("--new-tokens", type=int, default=24)
    return parser.parse_args()


def compare_trained(report, arguments, text, records, questions):
    """Trains and compares; returns PEFT's model with loam's adapter, and the directory of that."""
    data, start, out = (arguments.work / name for name in ("squad.json", "start", "adapter"))
    write_squad(records, data)
    torch.manual_seed(1)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, lora_dropout=0.0, target_modules=arguments.targets)
    model = get_peft_model(load_base(arguments.model), config)
    model.save_pretrained(start, save_embedding_layers=False)
    examples = [text.example(record) for record in records]
    batches = [examples[i : i + arguments.batch] for i in range(0, len(examples), arguments.batch)]
    print(f"training: {len(batches)} steps of {arguments.batch} examples, {sum(map(len, examples))} tokens")
    reference, learnt = train_peft(model, batches, arguments.learning_rate, pad=text.eos)
    trained = {name: tensor.clone() for name, tensor in get_peft_model_state_dict(model).items()}
    del model
    ours = train_loam(arguments.loam, arguments.model, data, start, out, len(batches), arguments.batch,
                      arguments.learning_rate, arguments.max_length)
    compare_training(report, ours, reference)
    report.check("loss of the first batch after training over that before", learnt, 1)

    print("the adapter, loaded by PEFT:")
    model = PeftModel.from_pretrained(load_base(arguments.model), out).eval()
    compare_adapter(report, model, trained, out)
    compare_logits(report, arguments, model, out, [text.example(record) for record in questions[:4]])
    return model, out


def make_prompts(arguments, text, questions):
    """Token ids and loam's options: half are openings of texts, half are questions."""
    prompts = [(text.encode(opening), ["--prompt", opening]) for opening in OPENINGS[: arguments.prompt_count // 2]]
    for record in questions[: arguments.prompt_count - len(prompts)]:
        fields = ["--field", f"context={record['context']}", "--field", f"question={record['question']}"]
        prompts.append((text.prompt(record), ["--template", "squad", *fields]))
    return prompts


def main():
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    report = Report()
    text = Text(arguments.model)
    shutil.rmtree(arguments.work, ignore_errors=True)
    arguments.work.mkdir(parents=True)
    fits = lambda ids: len(ids) <= arguments.max_length
    questions = pick(squad_records(arguments.prompts), arguments.prompt_count,
                     lambda record: fits(text.prompt(record)), per_context=2)
    prompts = make_prompts(arguments, text, questions)
    if arguments.steps == 0:
        model, base = load_base(arguments.model), contextlib.nullcontext()
    else:
        records = pick(squad_records(arguments.data), arguments.steps * arguments.batch,
                       lambda record: fits(text.example(record)), per_context=3)
        model, out = compare_trained(report, arguments, text, records, questions)
        print(f"greedy generation, {len(prompts)} prompts, with the adapter:")
        compare_generation(report, arguments, model, text, out, prompts)
        base = model.disable_adapter()
    print(f"greedy generation, {len(prompts)} prompts, without an adapter:")
    with base:
        compare_generation(report, arguments, model, text, None, prompts)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
