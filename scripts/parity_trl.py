#!/usr/bin/env python3
"""Trains the same chats with TRL's SFTTrainer(assistant_only_loss=True) and with loam, from the same adapter.

    parity_trl.py --loam build/release/loam --work DIR --templates trl/chat_templates

A tiny random Qwen3 with TRL's training template for Qwen3, and a tiny random Llama with that for Llama 3. The ids and
labels that TRL makes must be those that loam makes, and 30 losses must agree to 1e-4, in f32.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import datasets.fingerprint
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen3Config
from trl import SFTConfig, SFTTrainer

import parity_chat_ids

STEPS, BATCH, RATE, TOLERANCE = 30, 2, 2e-3, 1e-4
SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=1024)


# The hash of a function names a cache, which these runs do not use. dill cannot pickle all types of pyarrow.
datasets.fingerprint.Hasher.hash = classmethod(lambda cls, value: f"{id(value):016x}")


def chats():
    """Conversations of several turns, of different lengths, some with a system message."""
    for i in range(STEPS * BATCH):
        messages = [{"role": "system", "content": f"You are helper {i}."}] if i % 3 == 0 else []
        for turn in range(1 + i % 4):
            messages.append({"role": "user", "content": f"What is {i} + {turn}?" + " Tell me more." * (i % 5)})
            messages.append({"role": "assistant", "content": f"It is {i + turn}." + "\nThe weather is sunny." * (turn % 2)})
        yield {"messages": messages}


def make_model(kind, vocabulary, directory):
    torch.manual_seed(7)
    if kind == "qwen3":
        config = Qwen3Config(vocab_size=vocabulary, head_dim=16, bos_token_id=None, tie_word_embeddings=True, **SIZES)
    else:
        config = LlamaConfig(vocab_size=vocabulary, rope_parameters={"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0,
                             "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}, **SIZES)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(directory)
    return model


def make_adapter(model, directory):
    torch.manual_seed(8)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False,
                                               task_type="CAUSAL_LM"))
    adapted.save_pretrained(directory)


def run_trl(directory, adapter, tokenizer, rows, work):
    base = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    config = SFTConfig(output_dir=str(work / "trl"), max_steps=STEPS, per_device_train_batch_size=BATCH, learning_rate=RATE,
                       lr_scheduler_type="linear", warmup_steps=0, weight_decay=0.0, max_grad_norm=1.0, logging_steps=1,
                       assistant_only_loss=True, packing=False, max_length=None, report_to=[], save_strategy="no",
                       train_sampling_strategy="sequential", bf16=False, gradient_checkpointing=False, use_cpu=True,
                       disable_tqdm=True, seed=42)
    trainer = SFTTrainer(model=PeftModel.from_pretrained(base, adapter, is_trainable=True), args=config,
                         train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    examples = [(row["input_ids"], [int(label != -100) for label in row["labels"]]) for row in trainer.train_dataset]
    trainer.train()
    return examples, [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]


def run_loam(loam, directory, adapter, data, work):
    out = work / "loam"
    encoded = subprocess.run([loam, "tokenize", "--model", directory, "--messages", data, "--lines", "--json"], check=True,
                             stdout=subprocess.PIPE).stdout.decode().splitlines()
    subprocess.run([loam, "train", "--model", directory, "--adapter", adapter, "--data", data, "--out", out, "--overwrite", "--dtype",
                    "f32", "--max-steps", str(STEPS), "--per-device-train-batch-size", str(BATCH), "--learning-rate", str(RATE),
                    "--logging-steps", "1", "--no-shuffle", "--loss-on", "assistant", "--quiet"], check=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    examples = [(row["ids"], [int(w > 0) for w in row["learnt"]]) for row in map(json.loads, encoded)]
    return examples, [line["loss"] for line in lines if "loss" in line and "step" in line][:STEPS]


def compare(loam, kind, template_name, work, templates):
    work = work / kind
    work.mkdir(parents=True, exist_ok=True)
    directory, adapter, data = work / "model", work / "adapter", work / "chats.jsonl"
    template = (templates / template_name).read_text()
    ends = {"qwen3": "<|im_end|>", "llama3": "<|eot_id|>"}
    backend = parity_chat_ids.small_tokenizer(parity_chat_ids.LLAMA3)
    tokens = {"bos_token": "<s>", "eos_token": ends[kind], "pad_token": "<pad>"}
    tokenizer = parity_chat_ids.prepare(backend, template, tokens, str(directory))
    make_adapter(make_model(kind, len(tokenizer), directory), adapter)
    rows = list(chats())
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    theirs, their_losses = run_trl(directory, adapter, tokenizer, rows, work)
    ours, our_losses = run_loam(loam, directory, adapter, data, work)
    same = sum(a == b for a, b in zip(theirs, ours, strict=True))
    worst = max(abs(a - b) for a, b in zip(their_losses, our_losses, strict=True))
    good = same == len(rows) and len(our_losses) == STEPS and worst <= TOLERANCE
    print(f"{'ok   ' if good else 'WRONG'} {kind}: {same} of {len(rows)} chats with equal ids and masks, {len(our_losses)} losses, "
          f"{our_losses[0]:.4f} to {our_losses[-1]:.4f}, largest difference {worst:.2e}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loam", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--templates", required=True, type=Path)
    arguments = parser.parse_args()
    results = [compare(arguments.loam, kind, name, arguments.work, arguments.templates)
               for kind, name in [("qwen3", "qwen3_training.jinja"), ("llama3", "llama3_training.jinja")]]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
