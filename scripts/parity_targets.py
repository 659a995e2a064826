#!/usr/bin/env python3
"""Compares loam's target modules with PEFT's, for random expressions and lists, on a tiny random BLOOM and Llama.

`loam train` runs one step for each expression or list. It either refuses it, or saves an adapter that PEFT loads without a
warning, with LoRA on exactly the modules whose matrices are in the file. If the expression has the same meaning in Python,
these are the linear modules of layers that re.fullmatch finds. An expression that loam refuses must match the head or the
embedding, or no linear module of a layer.

The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import warnings
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from transformers import AutoModelForCausalLM, BloomConfig, LlamaConfig
from transformers.utils import logging

LAYERS = 12  # at least 12, so that "1." is also the end of "11."
CONFIGS = {
    "bloom": BloomConfig(vocab_size=64, hidden_size=16, n_layer=LAYERS, n_head=2),
    "llama": LlamaConfig(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=LAYERS,
                         num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64),
}
WILD = [".*", r"\d+", "[0-5]", "(1|11)", r"\w+", "[a-z_]+", "1+", ".+", r"\d*[02468]", "(?:q|v)", "[^.]*"]
FIXED = [".*mlp.*", ".*self_attn.*", r"model\.layers\.0\..*", ".*", ".*lm_head|.*mlp.*", "lm_head", "embed_tokens",
         "all-linear", r"transformer\.h\.1\..*", ".*(q|v)_proj", "q_proj,v_proj", "dense", ".*dense"]


def component(draw, names):
    if draw.random() < 1 / 3:
        return draw.choice(WILD)
    parts = draw.choice(names).split(".")
    parts = parts[:draw.randint(1, len(parts))]
    return draw.choice([".".join(parts), parts[-1]])


def expression(draw, names):
    def alternative():
        parts = [component(draw, names) for _ in range(draw.randint(1, 3))]
        text = parts[0]
        for part in parts[1:]:
            text += draw.choice([r"\.", ".*"]) + part
        return draw.choice(["", ".*", ".*", ".*"]) + text + draw.choice(["", "", ".*"])

    text = "|".join(alternative() for _ in range(draw.randint(1, 3)))
    return text if set(text) & set("*+?|()[]{}^$\\") else text + "()"


def name_list(draw, names):
    entries = []
    for _ in range(draw.randint(1, 3)):
        parts = draw.choice(names).split(".")
        entries.append(".".join(parts[draw.randint(0, len(parts) - 1):]))
    return ",".join(entries)


class Family:
    def __init__(self, kind, arguments):
        self.work = arguments.work / kind
        self.loam = arguments.loam
        self.base = self.work / "base"
        self.work.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(7)
        AutoModelForCausalLM.from_config(CONFIGS[kind]).save_pretrained(self.base)
        tokenizer = {"version": "1.0", "added_tokens": [], "model": {
            "type": "BPE", "vocab": {chr(97 + i): i for i in range(26)} | {"<eos>": 26}, "merges": []}}
        (self.base / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.data = self.work / "data.txt"
        self.data.write_text("abcabc\n")
        self.modules = {name: module for name, module in self.model().named_modules() if name}
        self.beyond = {name for name, module in self.modules.items()
                       if name == "lm_head" or isinstance(module, torch.nn.Embedding)}
        self.linears = {name for name, module in self.modules.items()
                        if isinstance(module, torch.nn.Linear)} - self.beyond

    def model(self):
        return AutoModelForCausalLM.from_pretrained(self.base)

    def matched(self, targets):
        """The modules that PEFT's rules find, or None if loam reads the text in another way."""
        if targets == "all-linear":
            return self.linears
        if set(targets) & set("*+?|()[]{}^$\\"):
            return {name for name in self.modules if re.fullmatch(targets, name)}
        entries = targets.split(",")
        found = {entry: {name for name in self.modules if name == entry or name.endswith("." + entry)}
                 for entry in entries}
        if any(not names & self.linears for names in found.values()):
            return set()  # loam refuses a list with a name that matches nothing
        return set().union(*found.values())

    def check(self, targets):
        """Returns what is wrong, or None, and whether loam accepted the targets."""
        out = self.work / "adapter"
        done = subprocess.run([self.loam, "train", "--model", self.base, "--data", self.data, "--out", out, "--overwrite",
                               "--max-steps", "1", "--lora-r", "2", "--threads", "1", "--quiet", "--device", "ref",
                               "--target-modules", targets], capture_output=True, text=True)
        matched = self.matched(targets)
        wanted = set() if matched & self.beyond else matched & self.linears
        if done.returncode != 0:
            if "retry-limit" in done.stderr:
                return None, False
            return (f"refused: {done.stderr.strip()[-300:]}" if wanted else None), False
        if not wanted:
            return f"taken, and Python matches {sorted(matched)[:4]}", True
        with safe_open(out / "adapter_model.safetensors", "pt") as file:
            stored = {key.removeprefix("base_model.model.").rsplit(".lora_", 1)[0] for key in file.keys()}
        if stored != wanted:
            return f"adapted {sorted(stored ^ wanted)[:4]} otherwise than Python's re", True
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                adapted = PeftModel.from_pretrained(self.model(), out)
            except ValueError as error:
                return f"PEFT refuses: {str(error)[:100]}", True
        has = {name.removeprefix("base_model.model.") for name, module in adapted.named_modules()
               if isinstance(module, LoraLayer)}
        if has != stored:
            return f"PEFT adapts {sorted(has ^ stored)[:4]} otherwise", True
        messages = [str(warning.message) for warning in caught if "dapter" in str(warning.message)]
        return (f"PEFT warns: {messages[0][:300]}" if messages else None), True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300, help="random targets of each family")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failed = False
    for kind in CONFIGS:
        family = Family(kind, arguments)
        draw = random.Random(f"{kind} {arguments.seed}")
        names = sorted(family.modules)
        tried = FIXED + [(name_list if draw.random() < 0.2 else expression)(draw, names)
                         for _ in range(arguments.count)]
        taken = 0
        for targets in tried:
            wrong, was_taken = family.check(targets)
            taken += was_taken
            if wrong is not None:
                failed = True
                print(f"  FAIL {kind} {targets!r}: {wrong}")
        failed |= not 0 < taken < len(tried)
        print(f"  {kind}: {len(tried)} targets, of which {taken} were taken")
    sys.exit(failed)


if __name__ == "__main__":
    main()
