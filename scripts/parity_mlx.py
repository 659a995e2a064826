#!/usr/bin/env python3
"""Compares `loam convert` with mlx-lm, in both directions, on tiny random models.

 1. PEFT makes an adapter with random A and B. loam converts it, and mlx-lm's load_adapters, which checks every name and
    shape, loads the result. The update of every module, and with DoRA the magnitudes, must be PEFT's.
 2. mlx-lm makes LoRA layers, fills them with random numbers and saves them as it does after training. loam converts them to
    PEFT's form, which PEFT must load without a missing tensor, with the same updates.

The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import mlx.core as mx
import numpy as np
import torch
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import _get_classes
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

TOLERANCE = 1e-6
SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
ROPE = {"rope_theta": 10000.0, "rms_norm_eps": 1e-6}
GPT2 = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_ctx": 64, "layer_norm_epsilon": 1e-5,
        "bos_token_id": 1, "eos_token_id": 2}
MODELS = {  # config.json, and a module to adapt alone
    "llama": ({**SIZES, **ROPE}, "q_proj"),
    "qwen2": ({**SIZES, **ROPE}, "v_proj"),
    "qwen3": ({**SIZES, **ROPE, "head_dim": 8, "tie_word_embeddings": True}, "o_proj"),
    "gemma2": ({**SIZES, "rms_norm_eps": 1e-6, "head_dim": 8, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
                "query_pre_attn_scalar": 8}, "gate_proj"),
    "gpt2": (GPT2, "c_attn"),
    "gpt_neox": ({**SIZES, "intermediate_size": 128, "layer_norm_eps": 1e-5, "rotary_emb_base": 10000, "rotary_pct": 0.25}, "query_key_value"),
    "phi3": ({**SIZES, **ROPE}, "qkv_proj"),
    "starcoder2": ({**SIZES, "norm_epsilon": 1e-5, "rope_theta": 10000.0}, "c_fc"),
    "olmo2": ({**SIZES, **ROPE}, "down_proj"),
}


def load_torch(kind, directory):
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory))


def load_mlx(kind, config):
    mx.random.seed(3)
    model_class, arguments = _get_classes(config)
    return model_class(arguments.from_dict(config))


def ours_of(kind, name):
    """PEFT's path of a module of mlx-lm."""
    name = name.removeprefix("base_model.model.")
    before, after = {"gpt2": ("model.h.", "transformer.h."), "gpt_neox": ("model.h.", "gpt_neox.layers.")}.get(kind, ("", ""))
    return after + name.removeprefix(before) if before and name.startswith(before) else name


def updates_of_mlx(kind, model):
    """Module: the update [out, in], and the magnitudes."""
    updates = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_a"):
            update = module.scale * (np.array(module.lora_b).T @ np.array(module.lora_a).T)
            magnitude = np.array(module.m) if hasattr(module, "m") else None
            if np.abs(update).max() > 0:
                updates[ours_of(kind, name)] = (update, magnitude)
    return updates


def updates_of_peft(model):
    updates = {}
    for name, module in model.named_modules():
        if "default" in getattr(module, "lora_A", {}):
            update = module.scaling["default"] * (module.lora_B["default"].weight @ module.lora_A["default"].weight)
            magnitude = None
            if module.use_dora.get("default"):
                magnitude = module.lora_magnitude_vector["default"].weight.detach().numpy()
            updates[name.removeprefix("base_model.model.")] = (update.detach().numpy(), magnitude)
    return updates


def differences(ours, theirs):
    problems = [f"only one has {key}" for key in sorted(ours.keys() ^ theirs.keys())]
    for key in ours.keys() & theirs.keys():
        for one, other in zip(ours[key], theirs[key]):
            if (one is None) != (other is None):
                problems.append(f"{key}: magnitudes of one alone")
            elif one is not None and not np.abs(one - other).max() <= TOLERANCE * np.abs(other).max():
                problems.append(f"{key} differs by {np.abs(one - other).max():.1e}")
    return problems


def convert(arguments, source, base, out, *options):
    command = [arguments.loam, "convert", source, "--model", base, "--out", out, "--overwrite", *options]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return [] if done.returncode == 0 else [done.stderr.strip()]


def to_mlx(arguments, kind, config, base, work, settings):
    torch.manual_seed(5)
    model = get_peft_model(load_torch(kind, base), LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **settings))
    model.save_pretrained(work / "peft")
    problems = convert(arguments, work / "peft", base, work / "mlx", "--to", "mlx")
    if problems:
        return problems
    return differences(updates_of_mlx(kind, load_adapters(load_mlx(kind, config), str(work / "mlx"))), updates_of_peft(model))


def from_mlx(arguments, kind, config, base, work, dora):
    model = load_mlx(kind, config)
    parameters = {"rank": 3, "scale": 2.5, "dropout": 0.0}
    model.freeze()
    linear_to_lora_layers(model, 2, {**parameters, "keys": keys_of(model)}, use_dora=dora)
    for module in model.modules():
        if hasattr(module, "lora_b"):
            module.lora_b = mx.random.normal(module.lora_b.shape)
    directory = work / "from"
    directory.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(directory / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    (directory / "adapter_config.json").write_text(json.dumps(
        {"fine_tune_type": "dora" if dora else "lora", "num_layers": 2, "lora_parameters": parameters, "model": "the/base"}))
    problems = convert(arguments, directory, base, work / "back")
    if problems:
        return problems
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = PeftModel.from_pretrained(load_torch(kind, base), work / "back")
    problems = [str(w.message)[:200] for w in caught if "missing" in str(w.message) or "unexpected" in str(w.message)]
    return problems + differences(updates_of_peft(loaded), updates_of_mlx(kind, model))


def keys_of(model):
    """The linear modules of a layer."""
    return sorted({name for name, module in model.layers[0].named_modules() if type(module).__name__ == "Linear"})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    mx.set_default_device(mx.cpu)
    bad = 0
    for kind, (config, module) in MODELS.items():
        base = arguments.work / kind
        base.mkdir(parents=True, exist_ok=True)
        config = {**config, "model_type": kind}
        (base / "config.json").write_text(json.dumps(config))
        everything = dict(target_modules="all-linear", r=4, lora_alpha=6)
        cases = {
            "to": lambda work: to_mlx(arguments, kind, config, base, work, everything),
            "to, one module of the last layer": lambda work: to_mlx(
                arguments, kind, config, base, work, dict(target_modules=[module], layers_to_transform=[1], r=2)),
            "to, other ranks and scales": lambda work: to_mlx(
                arguments, kind, config, base, work,
                {**everything, "rank_pattern": {module: 6}, "alpha_pattern": {module: 20}, "use_rslora": True}),
            "from": lambda work: from_mlx(arguments, kind, config, base, work, False),
        }
        if kind != "gpt2":  # DoRA of Conv1D
            cases["to, DoRA"] = lambda work: to_mlx(arguments, kind, config, base, work, {**everything, "use_dora": True})
            cases["from, DoRA"] = lambda work: from_mlx(arguments, kind, config, base, work, True)
        for number, (name, case) in enumerate(cases.items()):
            problems = case(base / str(number))
            bad += bool(problems)
            print(f"  {'FAIL' if problems else 'ok  '} mlx-lm {kind} {name}" + "".join(f"\n       {p}" for p in problems[:4]))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
