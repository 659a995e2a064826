#!/usr/bin/env python3
"""Compares `loam combine` with PEFT's add_weighted_adapter on a tiny random Llama and GPT-2.

PEFT makes the adapters, with random A and B. loam combines their directories, PEFT combines them in memory. PEFT must load
loam's result without a missing or unexpected tensor. For linear and cat both tensors of every module must be equal; for svd
their product, because the signs of singular vectors are free.

PEFT keeps use_rslora of the first adapter although the sum has the scale 1; its own sum is compared there.

The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import os
import subprocess
import sys
import warnings
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
from transformers.utils import logging

TOLERANCE = {"linear": 1e-6, "cat": 1e-6, "svd": 5e-6}  # PEFT decomposes in f32
CONFIGS = {
    "llama": LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=64),
    "gpt2": GPT2Config(vocab_size=64, n_embd=32, n_layer=3, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2),
}
NAMES = {"llama": ("q_proj", "up_proj"), "gpt2": ("c_attn", "c_fc")}


def cases(kind):
    """Name: (LoraConfig's arguments of each adapter, weights, combination type, rank)."""
    first, second = NAMES[kind]
    one, two, both = dict(target_modules=[first]), dict(target_modules=[second]), dict(target_modules=[first, second])
    return {
        "linear": ([both, both], [0.7, 0.6], "linear", None),
        "linear-negative": ([both, both, both], [1.0, -0.5, 0.25], "linear", None),
        "linear-scales": ([dict(both, lora_alpha=3), dict(both, lora_alpha=20)], [0.5, 2], "linear", None),
        "linear-targets": ([one, two], [0.5, 2], "linear", None),
        "linear-one": ([both], [-0.3], "svd", None),
        "cat": ([both, dict(both, r=2)], [1.0, -1.0], "cat", None),
        "cat-targets": ([dict(one, r=3), dict(both, r=5)], [0.25, 2], "cat", None),
        "cat-patterns": ([dict(both, rank_pattern={first: 7}, alpha_pattern={second: 2}), both], [1, 0.5], "cat", None),
        "svd": ([both, dict(both, r=2)], [1.0, -2.0], "svd", None),
        "svd-rank": ([both, both], [1.0, 0.5], "svd", 3),
        "svd-exact": ([both, dict(both, r=2)], [1.0, 0.5], "svd", 6),
        "svd-targets": ([one, both], [1.0, 0.5], "svd", 2),
        "svd-above": ([dict(both, r=24), dict(both, r=20)], [1.0, 0.5], "svd", 24),
        "cat-rslora": ([both, dict(both, use_rslora=True)], [1.0, 0.5], "cat", None),
        "svd-rslora-first": ([dict(both, use_rslora=True), both], [1.0, 0.5], "svd", 8),
    }


def make_adapters(kind, configs, directory):
    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_config(CONFIGS[kind])
    base.config._name_or_path = "the/base"
    model = None
    for index, arguments in enumerate(configs):
        name = f"a{index}"
        config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **({"r": 4} | arguments))
        config.base_model_name_or_path = "the/base"
        if model is None:
            model = get_peft_model(base, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
        model.save_pretrained(directory, selected_adapters=[name])
    return model


def layers(model, name):
    return {key: layer for key, layer in model.named_modules()
            if hasattr(layer, "get_delta_weight") and name in getattr(layer, "lora_A", {})}


def load_result(kind, directory):
    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_config(CONFIGS[kind])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base, directory, adapter_name="ours")
    return model, [str(warning.message) for warning in caught if not any(text in str(warning.message) for text in ("fan_in_fan_out", "deprecated"))]


def largest(ours, theirs):
    scale = max(theirs.abs().max().item(), 1e-12)
    return (ours - theirs).abs().max().item() / scale if ours.shape == theirs.shape else float("inf")


def sum_of(layer, adapters, weights):
    return sum(weight * layer.get_delta_weight(name) for name, weight in zip(adapters, weights) if name in layer.lora_A)


def compare(arguments, kind, name, case):
    configs, weights, combination, rank = case
    work = arguments.work / f"{kind}-{name}"
    model = make_adapters(kind, configs, work)
    adapters = [f"a{index}" for index in range(len(configs))]
    command = [arguments.loam, "combine", *(f"{work / adapter}:{weight}" for adapter, weight in zip(adapters, weights)),
               "--out", work / "out", "--overwrite", "--combination-type", combination,
               *(["--svd-rank", rank] if rank else [])]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        return [f"loam: {done.stderr.strip()}"]
    model.add_weighted_adapter(adapters, weights, "theirs", combination, svd_rank=rank)
    result, problems = load_result(kind, work / "out")
    ours, theirs = layers(result, "ours"), layers(model, "theirs")
    if ours.keys() != theirs.keys():
        problems.append(f"other modules: {sorted(ours.keys() ^ theirs.keys())[:3]}")
    exact = combination != "svd" or len(configs) == 1
    for key in ours.keys() & theirs.keys():
        layer = theirs[key]
        expected = layer.get_delta_weight("theirs")
        if name == "svd-rslora-first":  # of full rank
            expected = sum_of(layer, adapters, weights)
        worst = largest(ours[key].get_delta_weight("ours"), expected)
        for part in ("lora_A", "lora_B") if exact else ():
            worst = max(worst, largest(getattr(ours[key], part)["ours"].weight, getattr(layer, part)["theirs"].weight))
        if not worst <= TOLERANCE[combination]:
            problems.append(f"{key} differs by {worst:.1e}")
    if len(load_file(work / "out" / "adapter_model.safetensors")) != 2 * len(ours):
        problems.append("another number of tensors")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    bad = 0
    for kind in CONFIGS:
        for name, case in cases(kind).items():
            problems = compare(arguments, kind, name, case)
            bad += bool(problems)
            print(f"  {'FAIL' if problems else 'ok  '} combine {kind} {name}" + "".join(f"\n       {p}" for p in problems[:4]))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
