#!/usr/bin/env python3
"""Compares the text parts of multimodal models with transformers' multimodal classes, and adapters with PEFT's.

For each multimodal model_type of src/model/multimodal.c a tiny random model of its class is saved, with a vision tower:
 1. loam's logits of text are those of the multimodal class.
 2. PEFT makes an adapter on the class: by an expression, or by a list that names modules of the vision tower, too. loam
    gives PEFT's logits, trains it on one batch, and PEFT loads what loam saved with loam's logits and losses.
 3. loam makes an adapter. PEFT loads it onto the class: every tensor is used, and nothing else is adapted.
 4. loam merges: transformers loads the result as a text model, with the same logits.

    scripts/parity_multimodal.py --loam LOAM --logits LOAM_LOGITS --work DIR [MODEL_TYPE...]

The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import json
import os
import re
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
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, CONFIG_MAPPING
from transformers.utils import logging

ROOT = Path(__file__).parent.parent
STEPS = 4
RATE = 5e-3
TOLERANCE = 1e-4
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8,
              projection_dim=8)
TEXT = dict(hidden_size=24, intermediate_size=28, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=8,
            vocab_size=48, max_position_embeddings=64, pad_token_id=None, bos_token_id=1, eos_token_id=2)
# Text parts beside the one that a model_type has where none is named.
OTHERS = {"llava": ["mistral", "qwen2"], "llava_next": ["mistral"], "mistral3": ["ministral3"], "internvl": ["qwen3", "llama"],
          "vipllava": ["gemma"]}
RULES = [r".*(language|text)_model.*\.(q_proj|v_proj|down_proj)", ["q_proj", "v_proj"]]


def multimodals():
    """The rows of the table: model_type and the type of its text part."""
    source = (ROOT / "src/model/multimodal.c").read_text()
    return re.findall(r'\{"(\w+)", "(\w+)", (?:true|false), "\w+\."', source)


def relative(ours, theirs):
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


class Case:
    def __init__(self, kind, text, tied, arguments):
        self.name, self.arguments = f"{kind} of {text}{', tied' if tied else ''}", arguments
        self.work = arguments.work / f"{kind}-{text}-{tied}"
        shutil.rmtree(self.work, ignore_errors=True)
        self.base = self.work / "base"
        self.base.mkdir(parents=True)
        torch.manual_seed(11)
        settings = dict(TEXT, model_type=text, tie_word_embeddings=tied)
        if text == "ministral3":
            settings["rope_parameters"] = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=16,
                                               llama_4_scaling_beta=0.3)
        settings |= dict(sliding_window=4) if text in ("mistral", "gemma3_text") else {}
        config = CONFIG_MAPPING[kind](text_config=settings, tie_word_embeddings=tied, vision_config=dict(VISION))
        model = AutoModelForImageTextToText.from_config(config).float()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = torch.randn(parameter.shape)
                parameter.copy_(noise * 0.3 if parameter.dim() > 1 else 0.2 * noise + (not name.endswith("bias")))
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
        self.failures = []

    def run(self, *command):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(str(part) for part in command)}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
        return done.stdout + done.stderr

    def model(self):
        return AutoModelForImageTextToText.from_pretrained(self.base, dtype=torch.float32, attn_implementation="eager").eval()

    def reference(self, model, sequences=None):
        with torch.no_grad():
            return torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in sequences or self.sequences])

    def logits(self, adapter="-", base=None):
        out = self.work / "logits.safetensors"
        self.run(self.arguments.logits, base or self.base, adapter, self.input, out)
        return load_file(out)["logits"]

    def check(self, what, value, bound=TOLERANCE):
        if not value < bound:
            self.failures.append(f"{what}: {value:.2e}")

    def same(self, what, ours, theirs):
        if ours != theirs:
            self.failures.append(f"{what}: {ours} instead of {theirs}")

    def train(self, start, out, *options):
        self.run(self.arguments.loam, "train", "--model", self.base, "--data", self.data, "--adapter", start, "--out", out,
                 "--overwrite", "--no-shuffle", "--max-steps", STEPS, "--per-device-train-batch-size", 4, "--learning-rate",
                 RATE, "--weight-decay", 0, "--logging-steps", 1, "--dtype", "f32", "--warmup-ratio", 0, *options)
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return [row["loss"] for row in rows if "loss" in row]

    def load(self, directory):
        """loam's adapter in PEFT: every tensor used as it is, and no module adapted beside them."""
        model = PeftModel.from_pretrained(self.model(), directory).eval()
        ours, loaded = load_file(directory / "adapter_model.safetensors"), get_peft_model_state_dict(model)
        self.same("tensors that PEFT has", sorted(loaded), sorted(ours))
        self.same("values", [n for n in ours if n in loaded and not torch.equal(ours[n], loaded[n])], [])
        return model

    def of_peft(self, rule, label, **settings):
        config = LoraConfig(r=3, lora_alpha=6, target_modules=rule, task_type="CAUSAL_LM", **settings)
        model = get_peft_model(self.model(), config)
        torch.manual_seed(3)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(0.2 * torch.randn(parameter.shape))
                elif parameter.requires_grad and "lora_A" not in name:
                    parameter.add_(0.1 * torch.randn(parameter.shape))
        start, out = self.work / f"peft-{label}", self.work / f"loam-{label}"
        model.save_pretrained(start)
        self.check(f"{label}: PEFT's adapter", relative(self.logits(start), self.reference(model.eval())))
        losses = self.train(start, out)
        self.check(f"{label}: trained adapter", relative(self.logits(out), self.reference(self.load(out))))
        learnt = [ids + [TEXT["eos_token_id"]] for ids in self.sequences]
        first, total, at = self.reference(PeftModel.from_pretrained(self.model(), start).eval(), learnt), 0, 0
        for ids in learnt:
            total += float(cross_entropy(first[at:at + len(ids) - 1], torch.tensor(ids[1:]), reduction="sum"))
            at += len(ids)
        self.check(f"{label}: first loss", abs(losses[0] - total / sum(len(ids) - 1 for ids in learnt)))
        return out

    def of_loam(self, label, *options):
        out = self.work / label
        self.run(self.arguments.loam, "train", "--model", self.base, "--data", self.data, "--out", out, "--overwrite",
                 "--max-steps", STEPS, "--per-device-train-batch-size", 4, "--learning-rate", 2e-2, "--dtype", "f32", "--lora-r",
                 4, "--target-modules", "q_proj,up_proj", *options)
        self.check(f"{label} adapter", relative(self.logits(out), self.reference(self.load(out))))

    def merged(self, adapter):
        out = self.work / "merged"
        self.run(self.arguments.loam, "merge", "--model", self.base, "--adapter", adapter, "--out", out, "--overwrite")
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
        self.same("class of the merged model", "ForCausalLM" in type(model).__name__, True)
        theirs = self.logits(adapter)
        self.check("merged in transformers", relative(self.reference(model), theirs))
        self.check("merged in loam", relative(self.logits(base=out), theirs))

    def compare(self):
        self.check("logits", relative(self.logits(), self.reference(self.model())))
        for label, rule in zip(("expression", "list"), RULES):
            adapter = self.of_peft(rule, label)
        self.of_loam("fresh", "--rank-pattern", r"layers\.1\..*=2")
        self.merged(adapter)
        # "norm" names modules of other parts, too, which PEFT trains and loam passes over.
        whole = self.of_peft(RULES[1], "whole", modules_to_save=["embed_tokens", "norm"], bias="lora_only")
        self.of_loam("fresh whole", "--modules-to-save", "lm_head,norm", "--bias", "lora_only")
        self.merged(whole)
        return self.failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--logits", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("kinds", nargs="*")
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    failed = False
    for kind, text in multimodals():
        if arguments.kinds and kind not in arguments.kinds:
            continue
        for index, part in enumerate([text] + OTHERS.get(kind, [])):
            case = Case(kind, part, index % 2 == 1 or kind == "gemma3", arguments)
            failures = case.compare()
            failed |= bool(failures)
            print(f"  {'FAIL' if failures else 'ok  '} {case.name}", *failures, sep="\n       " if failures else " ", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
