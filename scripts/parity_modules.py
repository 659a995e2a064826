#!/usr/bin/env python3
"""Compares adapters of random settings with PEFT, in and out, on tiny random models (tests/parity/make_module_goldens.py).

 1. PEFT makes an adapter. loam reads it and computes logits, the loss, every gradient and ten steps: PEFT's (test_golden).
 2. loam goes on from it without learning and saves it: PEFT reads that without a missing or unexpected key, it has PEFT's
    names, shapes and settings, and PEFT's logits are those of the first adapter.
 3. loam merges it: transformers' logits of the merged model are those of base and adapter.
 4. loam makes a fresh adapter with the same settings: it has PEFT's names, shapes and settings.

All computations are in float32. The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
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
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

LOGIT_TOLERANCE = 1e-5  # of the largest logit
# The settings of adapter_config.json that a fresh adapter need not share: how A starts, and what was named how.
FREE = {"base_model_name_or_path", "init_lora_weights", "peft_version", "revision", "target_modules"}
TOKENIZER = {"version": "1.0", "added_tokens": [], "model": {
    "type": "BPE", "vocab": {chr(97 + i): i for i in range(26)} | {"<eos>": 26}, "merges": []}}


def run(command, **environment):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          env=os.environ | environment)


def is_beside(key, config):
    """Whether a tensor is beside what an adapter needs: PEFT may save the weights of heads and embeddings as well, with them
    magnitudes and rows of tokens a second time, and with bias "all" biases of modules_to_save under the names of its
    wrapper."""
    module = key.removeprefix("base_model.model.").removesuffix(".weight")
    copy = module.endswith(("embed_tokens", "word_embeddings", "lm_head")) and key.endswith(".weight")
    named = any(module == name or module.endswith("." + name) for name in config["modules_to_save"] or [])
    tokens = config["trainable_token_indices"]
    own = isinstance(tokens, dict) and "lm_head" in tokens and (len(tokens) == 1 or len(set(map(tuple, tokens.values()))) == 2)
    repeated = ".lm_head.token_adapter." in key and not own
    return (copy and not named or repeated or any(part in key for part in (".modules_to_save.", ".original_module."))
            or key.endswith((".base_layer.weight", ".lora_magnitude_vector.weight")))


class Grid:
    def __init__(self, arguments):
        self.loam, self.golden_test = arguments.loam, arguments.golden_test
        self.work = arguments.work
        self.failed = False

    def check(self, name, what, good, detail=""):
        if not good:
            self.failed = True
            print(f"  FAIL {name}: {what} {detail}")

    def loam_run(self, name, what, *command):
        done = run([self.loam, *command])
        # A bias of B has no place in a linear without a bias.
        refused = what == "merge" and "it cannot be merged, in PEFT neither" in done.stderr
        self.check(name, what, done.returncode == 0 or refused, done.stderr.strip()[-400:])
        return done.returncode == 0

    def train(self, name, what, directory, out, *options):
        return self.loam_run(name, what, "train", "--model", directory, "--data", directory / "data.txt", "--out", out,
                             "--overwrite", "--max-steps", "1", "--threads", "1", "--quiet", "--dtype", "f32", *options)

    def same_files(self, name, what, ours, theirs, free=frozenset()):
        ours_tensors, theirs_tensors = (load_file(d / "adapter_model.safetensors") for d in (ours, theirs))
        configs = [json.loads((d / "adapter_config.json").read_text()) for d in (ours, theirs)]
        shapes = [{key: tuple(tensor.shape) for key, tensor in tensors.items() if not is_beside(key, configs[1])}
                  for tensors in (ours_tensors, theirs_tensors)]
        self.check(name, f"{what}: names and shapes", shapes[0] == shapes[1],
                   sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[:4])
        for config in configs:
            config["modules_to_save"] = sorted(set(config["modules_to_save"] or []))
        others = {key: [config.get(key) for config in configs] for key in set(configs[0]) | set(configs[1])
                  if configs[0].get(key) != configs[1].get(key)}
        self.check(name, f"{what}: settings", not set(others) - free,
                   {key: value for key, value in others.items() if key not in free})

    def peft_logits(self, name, what, directory, adapter):
        base = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(base, adapter).eval()
        messages = [str(w.message) for w in caught if "missing" in str(w.message) or "nexpected" in str(w.message)]
        self.check(name, f"{what}: PEFT reads it", not messages, messages[:1])
        return self.logits(model)

    def logits(self, model):
        ids = torch.arange(3, 30)[None] % model.config.vocab_size
        with torch.no_grad():
            return model(input_ids=ids).logits

    def close(self, name, what, ours, theirs):
        difference = float((ours - theirs).abs().max() / theirs.abs().max())
        self.check(name, what, difference < LOGIT_TOLERANCE, f"{difference:.1e}")

    def compare(self, directory):
        name, adapter = directory.name, directory / "adapter"
        (directory / "tokenizer.json").write_text(json.dumps(TOKENIZER))
        (directory / "data.txt").write_text("abcabc\n")
        done = run([self.golden_test, name], LOAM_GOLDENS=str(directory.parent), LOAM_GOLDEN_DTYPE="f32")
        self.check(name, "forward, gradients, steps", done.returncode == 0, (done.stdout + done.stderr)[-600:])

        expected = self.peft_logits(name, "PEFT's", directory, adapter)
        again = directory / "again"
        if self.train(name, "goes on", directory, again, "--adapter", adapter, "--learning-rate", "0"):
            self.same_files(name, "goes on", again, adapter, FREE)
            self.close(name, "goes on: logits", self.peft_logits(name, "goes on", directory, again), expected)
        merged = directory / "merged"
        shutil.rmtree(merged, ignore_errors=True)
        if self.loam_run(name, "merge", "merge", "--model", directory, "--adapter", adapter, "--out", merged, "--dtype",
                         "f32", "--no-check"):
            model, loading = AutoModelForCausalLM.from_pretrained(
                merged, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
            self.check(name, "merge: keys", not loading["missing_keys"] and not loading["unexpected_keys"], loading)
            self.close(name, "merge: logits", self.logits(model.eval()), expected)
        fresh = directory / "fresh"
        if self.train(name, "fresh", directory, fresh, *self.options(adapter)):
            self.same_files(name, "fresh", fresh, adapter, FREE)
            self.peft_logits(name, "fresh", directory, fresh)

    def options(self, adapter):
        """The options of loam train for the settings of an adapter."""
        config = json.loads((adapter / "adapter_config.json").read_text())
        targets = config["target_modules"]
        options = ["--lora-r", config["r"], "--lora-alpha", config["lora_alpha"], "--target-modules",
                   targets if isinstance(targets, str) else ",".join(targets)]
        if config["modules_to_save"]:
            options += ["--modules-to-save", ",".join(config["modules_to_save"])]
        options += ["--bias", config["bias"]]
        for key in ("use_dora", "use_rslora", "lora_bias", "ensure_weight_tying"):
            if config[key]:
                options.append("--" + key.replace("_", "-"))
        if config["lora_bias"]:
            options += ["--init-lora-weights", "true"]
        tokens = config["trainable_token_indices"]
        if isinstance(tokens, list):
            options += ["--trainable-token-indices", ",".join(map(str, tokens))]
        elif tokens:
            options += ["--trainable-token-indices",
                        ";".join(f"{name}={','.join(map(str, ids))}" for name, ids in tokens.items())]
        for key, option in (("rank_pattern", "--rank-pattern"), ("alpha_pattern", "--alpha-pattern")):
            if config[key]:
                options += [option, ",".join(f"{name}={value}" for name, value in config[key].items())]
        return options


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--golden-test", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    maker = Path(__file__).parent.parent / "tests/parity/make_module_goldens.py"
    made = run([sys.executable, maker, "--out", arguments.work, "--random", arguments.count, "--seed", arguments.seed],
               OMP_NUM_THREADS="1")
    if made.returncode != 0:
        sys.exit(f"parity: {made.stderr[-3000:]}")
    grid = Grid(arguments)
    for i in range(arguments.count):
        grid.compare(arguments.work / f"random-{arguments.seed + i}")
    print(f"  modules: {arguments.count} adapters of random settings")
    sys.exit(grid.failed)


if __name__ == "__main__":
    main()
