#!/usr/bin/env python3
"""Compares loam's LoRA options with PEFT's, in both directions, on a tiny random BLOOM and Llama.

For each case of a grid of LoraConfig options:
 1. PEFT makes an adapter with the options and saves it. loam computes its logits, trains it for some steps on one batch,
    and saves it. Losses, and the logits of PEFT with what loam saved, must be those of PEFT after the same steps.
 2. loam makes an adapter with the same options. PEFT must load it without a warning onto the original base; tensor names,
    shapes and the config must be those that PEFT writes, and the logits of both must agree.
 3. PEFT saves the weights of the embedding and the head too. They are left as they are, or one or both are changed. loam's
    logits must be PEFT's.

The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import copy
import itertools
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, BloomConfig, LlamaConfig
from transformers.utils import logging

STEPS = 5
RATE = 5e-3
TOLERANCE = 1e-4
CONFIGS = {
    "bloom": BloomConfig(vocab_size=64, hidden_size=32, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=2),
    "llama": LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=64, attention_bias=True),
}
CONFIGS["llama-tied"] = LlamaConfig(**CONFIGS["llama"].to_diff_dict() | {"tie_word_embeddings": True})
NAMES = {"bloom": ("query_key_value", "dense_h_to_4h", "h"), "llama": ("q_proj", "up_proj", "layers")}
# Names for modules_to_save: the embedding, a norm, a linear that is not adapted.
WHOLE = {"bloom": ("word_embeddings", "ln_f", "dense_4h_to_h"), "llama": ("embed_tokens", "model.norm", "o_proj")}


def whole_cases(kind):
    """Modules that are trained as a whole, and biases."""
    family = kind.removesuffix("-tied")
    first, second, _ = NAMES[family]
    embedding, norm, linear = WHOLE[family]
    grid = {
        "bias-all": (dict(bias="all"), 1),
        "bias-lora-only": (dict(bias="lora_only"), 1),
        "whole-norm": (dict(modules_to_save=[norm]), 1),
        "whole-embedding": (dict(modules_to_save=[embedding]), 1),
        "whole-head": (dict(modules_to_save=["lm_head"]), 1),
        "whole-linear-biases": (dict(modules_to_save=[linear, "0.input_layernorm"], bias="all"), 1),
        "whole-loraplus": (dict(modules_to_save=[embedding, "lm_head", norm], bias="all"), 16),
    }
    if kind == "llama-tied":
        grid["tied-embedding"] = (dict(modules_to_save=[embedding], ensure_weight_tying=True), 1)
        grid["tied-head-loraplus"] = (dict(modules_to_save=["lm_head", norm], ensure_weight_tying=True), 16)
        for targets in (["lm_head"], [embedding], [embedding, "lm_head"]):
            grid["tied-adapter-" + "-".join(targets)] = (dict(target_modules=[first] + targets, ensure_weight_tying=True), 1)
        grid["tied-adapter-loraplus"] = (dict(target_modules=[second, "lm_head"], ensure_weight_tying=True), 16)
        grid["tied-tokens"] = (dict(trainable_token_indices=[7, 4], ensure_weight_tying=True), 1)
    for name, (config, ratio) in grid.items():
        targets = config.get("target_modules", [first, second])
        options = ["--target-modules", ",".join(targets), "--bias", config.get("bias", "none")]
        if "modules_to_save" in config:
            options += ["--modules-to-save", ",".join(config["modules_to_save"])]
        if "ensure_weight_tying" in config:
            options.append("--ensure-weight-tying")
        if "trainable_token_indices" in config:
            options += ["--trainable-token-indices", ",".join(map(str, config["trainable_token_indices"]))]
        yield name, (dict(config, target_modules=targets), options, ratio)


def cases(kind):
    """Name: (LoraConfig's arguments, loam's options, LoRA+ ratio)."""
    if kind == "llama-tied":
        return dict(whole_cases(kind))
    first, second, layers = NAMES[kind]
    both = [first, second]
    pair = f"{first},{second}"
    grid = {
        "plain": (dict(target_modules=both), ["--target-modules", pair], 1),
        "rslora": (dict(target_modules=both, use_rslora=True), ["--target-modules", pair, "--use-rslora"], 1),
        "patterns": (dict(target_modules="all-linear", rank_pattern={rf"{layers}\.1\..*": 6, first: 2}, alpha_pattern={second: 3}),
                     ["--target-modules", "all-linear", "--rank-pattern", rf"{layers}\.1\..*=6,{first}=2", "--alpha-pattern",
                      f"{second}=3"], 1),
        "rslora-patterns": (dict(target_modules=both, use_rslora=True, rank_pattern={first: 2}, alpha_pattern={second: 3}),
                            ["--target-modules", pair, "--use-rslora", "--rank-pattern", f"{first}=2", "--alpha-pattern",
                             f"{second}=3"], 1),
        "exclude": (dict(target_modules=both, exclude_modules=[f"{layers}.1." + ("self_attention." if kind == "bloom" else
                                                                                 "self_attn.") + first]),
                    ["--target-modules", pair, "--exclude-modules",
                     f"{layers}.1." + ("self_attention." if kind == "bloom" else "self_attn.") + first], 1),
        "exclude-expression": (dict(target_modules=both, exclude_modules=r".*\.0\..*"),
                               ["--target-modules", pair, "--exclude-modules", r".*\.0\..*"], 1),
        "layers": (dict(target_modules=both, layers_to_transform=[0, 2]),
                   ["--target-modules", pair, "--layers-to-transform", "0,2"], 1),
        "layers-pattern": (dict(target_modules=both, layers_to_transform=[1], layers_pattern=[layers]),
                           ["--target-modules", pair, "--layers-to-transform", "1", "--layers-pattern", layers], 1),
        "loraplus": (dict(target_modules=both), ["--target-modules", pair], 16),
    }
    embedding = "word_embeddings" if kind == "bloom" else "embed_tokens"
    own = {embedding: [4, 9], "lm_head": [9, 22]}
    for name, targets in (("head", [first, "lm_head"]), ("embedding", [first, embedding]),
                          ("both-ends", [second, embedding, "lm_head"])):
        grid[name] = (dict(target_modules=targets), ["--target-modules", ",".join(targets)], 1)
    grid |= {
        "head-dora": (dict(target_modules=["lm_head"], use_dora=True), ["--target-modules", "lm_head", "--use-dora"], 1),
        "embedding-loraplus": (dict(target_modules=[first, embedding]), ["--target-modules", f"{first},{embedding}"], 16),
        "lora-bias": (dict(target_modules=both + ["lm_head"], lora_bias=True, init_lora_weights=True),
                      ["--target-modules", f"{pair},lm_head", "--lora-bias", "--init-lora-weights", "true"], 1),
        "tokens": (dict(target_modules=both, trainable_token_indices=[7, 4, 22]),
                   ["--target-modules", pair, "--trainable-token-indices", "7,4,22"], 1),
        "tokens-apart": (dict(target_modules=[first], trainable_token_indices=own),
                         ["--target-modules", first, "--trainable-token-indices", f"{embedding}=4,9;lm_head=9,22"], 1),
    }
    for init in ("gaussian", True, False, "orthogonal", "pissa", "olora"):
        name = str(init).lower()
        grid[f"init-{name}"] = (dict(target_modules=both, init_lora_weights=init),
                                ["--target-modules", pair, "--init-lora-weights", name], 1)
    grid["pissa-rslora-patterns"] = (
        dict(target_modules=both, init_lora_weights="pissa", use_rslora=True, rank_pattern={first: 2}),
        ["--target-modules", pair, "--init-lora-weights", "pissa", "--use-rslora", "--rank-pattern", f"{first}=2"], 1)
    return grid | dict(whole_cases(kind))


def relative(ours, theirs):
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


class Family:
    def __init__(self, kind, arguments):
        self.kind, self.arguments = kind, arguments
        self.work = arguments.work / kind
        self.base = self.work / "base"
        self.work.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(7)
        model = AutoModelForCausalLM.from_config(CONFIGS[kind])
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = torch.randn(parameter.shape)
                if parameter.dim() == 2:
                    parameter.copy_(noise * (0.4 if "embed" in name else parameter.shape[1] ** -0.5))
                else:
                    parameter.copy_(0.2 * noise + (0 if name.endswith("bias") else 1))
        model.save_pretrained(self.base)
        tokenizer = {"version": "1.0", "added_tokens": [], "model": {
            "type": "BPE", "vocab": {chr(97 + i): i + 3 for i in range(26)} | {"<b>": 1, "</s>": 2, "<u>": 0}, "merges": []}}
        (self.base / "tokenizer.json").write_text(json.dumps(tokenizer))
        lines = ["thequickbrownfox", "jumpsover", "alazydog", "inthemorning"]
        self.data = self.work / "data.jsonl"
        self.data.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
        self.sequences = [[ord(letter) - 94 for letter in line] for line in lines]
        self.input = self.work / "sequences.json"
        self.input.write_text(json.dumps({"sequences": self.sequences}))

    def model(self):
        return AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32, attn_implementation="eager")

    def run(self, *command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command[:2]))}: {done.stderr.strip()[-400:]}")
        return done.stderr

    def train(self, out, steps, rate, ratio, options):
        return self.run(self.arguments.loam, "train", "--model", self.base, "--data", self.data, "--out", out, "--overwrite",
                        "--max-steps", steps, "--learning-rate", rate, "--lr-scheduler-type", "constant", "--batch-size", 4,
                        "--loraplus-lr-ratio", ratio, "--weight-decay", 0, "--logging-steps", 1, "--dtype", "f32", "--threads",
                        1, *options)

    def loam_logits(self, adapter):
        out = self.work / "logits.safetensors"
        self.run(self.arguments.logits, self.base, adapter, self.input, out)
        return load_file(out)["logits"]

    def logits(self, model):
        with torch.no_grad():
            return torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in self.sequences])

    def peft_steps(self, model, ratio):
        """The losses of the same steps in PEFT."""
        trained = [p for p in model.parameters() if p.requires_grad]
        # Without a ratio it is AdamW alone: LoRA+ also gives the embedding a rate of its own.
        optimiser = (torch.optim.AdamW(trained, lr=RATE, weight_decay=0) if ratio == 1 else
                     create_loraplus_optimizer(model, torch.optim.AdamW, lr=RATE, loraplus_lr_ratio=ratio))
        losses = []
        examples = [ids + [2] for ids in self.sequences]  # loam ends an example with EOS
        for _ in range(STEPS):
            total = sum(cross_entropy(model(input_ids=torch.tensor([ids])).logits[0][:-1], torch.tensor(ids[1:]),
                                      reduction="sum") for ids in examples)
            loss = total / sum(len(ids) - 1 for ids in examples)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(float(loss.detach()))
        return losses

    def load(self, adapter, trainable=False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(self.model(), adapter, is_trainable=trainable)
        # PEFT also warns of a tied model.
        messages = [str(w.message) for w in caught
                    if "dapter" in str(w.message) and "tie_word_embeddings" not in str(w.message)]
        return model, messages

    def from_peft(self, name, config, ratio):
        """PEFT's adapter in loam, and back."""
        theirs, back = self.work / name / "peft", self.work / name / "back"
        torch.manual_seed(3)
        # PEFT changes lists of its settings.
        model = get_peft_model(self.model(), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, **copy.deepcopy(config)))
        if config.get("init_lora_weights", True) in ("gaussian", True):
            with torch.no_grad():
                for key, parameter in model.named_parameters():
                    if parameter.requires_grad and "lora_B" in key:
                        parameter.normal_(0, 0.1)
        model.save_pretrained(theirs)
        loaded, _ = self.load(theirs, trainable=True)
        yield "loam's logits of PEFT's adapter", relative(self.loam_logits(theirs), self.logits(loaded))
        self.train(back, STEPS, RATE, ratio, ["--adapter", theirs])
        ours = [json.loads(line) for line in (back / "metrics.jsonl").read_text().splitlines()]
        ours = [line["loss"] for line in ours if "loss" in line and "step" in line][:STEPS]
        losses = self.peft_steps(loaded, ratio)
        yield "losses", max(abs(a - b) for a, b in zip(ours, losses, strict=True))
        again, messages = self.load(back)
        yield f"warnings of PEFT for the trained adapter {messages}", float(len(messages))
        yield "PEFT's logits of the trained adapter", relative(self.logits(again), self.logits(loaded))

    def copies(self, name):
        """Weights of the base in the file of from_peft, with values of their own or not."""
        theirs, beside = self.work / name / "peft", self.work / name / "copies"
        self.load(theirs)[0].save_pretrained(beside, save_embedding_layers=True)
        stored = load_file(beside / "adapter_model.safetensors")
        base = {key for key in stored if key.endswith((".weight", ".base_layer.weight")) and ".layers." not in key
                and ".h." not in key and "lora_" not in key}
        for changed in itertools.product([False, True], repeat=2):
            ends = [end for end, change in zip(("lm_head", "embed"), changed) if change]
            noise = torch.Generator().manual_seed(5)
            values = {key: value * (1 + 0.2 * torch.randn(value.shape, generator=noise))
                      if key in base and any(end in key for end in ends) else value for key, value in stored.items()}
            save_file(values, beside / "adapter_model.safetensors", metadata={"format": "pt"})
            model, _ = self.load(beside)
            yield f"logits of a file with other weights of {ends}", relative(self.loam_logits(beside), self.logits(model))

    def to_peft(self, name, config, options, ratio):
        """loam's adapter in PEFT."""
        ours, theirs = self.work / name / "loam", self.work / name / "peft"
        if "gaussian" in options or "--init-lora-weights" not in options:
            options = options + (["--init-lora-weights", "true"] if "--init-lora-weights" not in options else [])
        self.train(ours, STEPS, RATE, ratio, ["--lora-r", 4, "--lora-alpha", 6, *options])
        model, messages = self.load(ours)
        yield f"warnings of PEFT {messages}", float(len(messages))
        yield "PEFT's logits of loam's adapter", relative(self.logits(model), self.loam_logits(ours))
        takes = config.get("init_lora_weights") in ("pissa", "olora")
        # With bias "all" PEFT also saves biases of modules_to_save under the names of its wrapper; it also saves the
        # base of an adapted embedding or head, which loam does not.
        shapes = lambda path: {key: tuple(value.shape) for key, value in load_file(path / "adapter_model.safetensors").items()
                               if ".modules_to_save." not in key and ".original_module." not in key
                               and not key.endswith(".base_layer.weight")}
        wanted, found = shapes(theirs), shapes(ours)
        if takes:
            wanted = {key: (2 * s[0], s[1]) if "lora_A" in key else (s[0], 2 * s[1]) for key, s in wanted.items()}
        yield f"names or shapes of tensors {sorted(set(wanted.items()) ^ set(found.items()))[:3]}", float(wanted != found)
        read = lambda path: json.loads((path / "adapter_config.json").read_text())
        wanted, found = read(theirs), read(ours)
        if takes:
            factor = math.sqrt(2) if wanted["use_rslora"] else 2
            wanted.update(init_lora_weights=True, r=2 * wanted["r"], lora_alpha=factor * wanted["lora_alpha"],
                          rank_pattern={key: 2 * r for key, r in wanted["rank_pattern"].items()})
        different = []
        for key in wanted.keys() | found.keys():
            a, b = wanted.get(key), found.get(key)
            if key in ("target_modules", "exclude_modules", "modules_to_save") and isinstance(a, list) and isinstance(b, list):
                # PEFT lists whole paths for all-linear.
                a, b = (sorted(a), sorted(b)) if config["target_modules"] != "all-linear" else (0, 0)
            if a != b and key != "base_model_name_or_path":
                different.append((key, a, b))
        yield f"the config {different[:2]}", float(len(different))
        # A step of rate 0 saves the initial values: the outputs are those of the base, up to init false.
        self.train(ours, 1, 0, ratio, ["--lora-r", 4, "--lora-alpha", 6, *options])
        if config.get("init_lora_weights", True) is False:
            return
        model, _ = self.load(ours)
        yield "the base with a fresh adapter", relative(self.logits(model), self.logits(self.model()))
        if takes:
            torch.manual_seed(3)
            reference = get_peft_model(self.model(), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, **config))
            for key, parameter in reference.named_parameters():
                if "lora_A" in key:
                    b = dict(reference.named_parameters())[key.replace("lora_A", "lora_B")]
                    path = key.replace(".default", "")
                    stored = load_file(ours / "adapter_model.safetensors")
                    rank = parameter.shape[0]
                    product = stored[path.replace("lora_A", "lora_B")][:, :rank] @ stored[path][:rank]
                    yield f"initial B A of {key}", relative(product, (b @ parameter).detach())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--logits", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    failed = False
    for kind in CONFIGS:
        family = Family(kind, arguments)
        checks = 0
        for name, (config, options, ratio) in cases(kind).items():
            if arguments.only and arguments.only not in name:
                continue
            try:
                for check in (family.from_peft(name, config, ratio), family.to_peft(name, config, options, ratio),
                              family.copies(name) if config.get("init_lora_weights", True) is True else []):
                    for what, error in check:
                        checks += 1
                        if not error <= TOLERANCE:
                            failed = True
                            print(f"  FAIL {kind} {name}: {what}: {error:.2e}")
            except (RuntimeError, ValueError) as error:
                failed = True
                print(f"  FAIL {kind} {name}: {error}")
        print(f"  {kind}: {checks} checks")
    sys.exit(failed)


if __name__ == "__main__":
    main()
