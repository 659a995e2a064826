#!/usr/bin/env python3
"""Compares `loam merge` with PEFT's merge_and_unload, for a tiny random BLOOM and Llama in three dtypes.

 1. Every tensor that loam writes is PEFT's merge in float32, rounded once. Where two float32 sums differ in their last
    bit, an element may differ by one step of the dtype; few elements do.
 2. transformers loads the directory (its dtype from config.json, one file or shards) and its logits are those of base
    and adapter in float32, within the rounding of the dtype.
 3. loam's own logits of the merged model are transformers'.
 4. The same for an adapter whose ranks and alphas differ by module, with and without rank-stabilised scaling: PEFT's
    expressions for modules are read as PEFT reads them, and loam's logits of base and adapter are PEFT's.

The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BloomConfig, LlamaConfig
from transformers.utils import logging

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
# Tolerances relative to the largest logit: float32 sums in another order, or eps of the dtype times a few layers.
LOGIT_TOLERANCE = {"f32": 1e-5, "f16": 4e-3, "bf16": 3e-2}
CONFIGS = {
    "bloom": BloomConfig(vocab_size=211, hidden_size=48, n_layer=3, n_head=6, initializer_range=0.15),
    "llama": LlamaConfig(vocab_size=211, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
                         num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=128,
                         initializer_range=0.15),
}
# Further arguments of LoraConfig for each adapter. The first expression that matches applies. PEFT sorts them when it saves,
# so they are sorted here too; otherwise the adapter that it reads back would differ.
PLAIN = {}
PATTERNS = {
    "rank_pattern": {r"(model\.layers|transformer\.h)\.1\..*": 5, "0.*": 2, "^1.*": 1, "dense|k_proj": 3},
    "alpha_pattern": {"1.mlp.*": 4, "no_such": 1, "q_proj|[vo]_proj": 20, "query_key_value": 2.5},
}
STABILISED = PATTERNS | {"use_rslora": True}
SEQUENCES = [[i * 7 % 211 for i in range(1, 30)], [200, 3, 3, 150, 9], [5]]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"parity: {' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


class Report:
    def __init__(self):
        self.failed = False

    def check(self, what, value, bound):
        good = value <= bound  # false for NaN
        self.failed |= not good
        print(f"  {'ok  ' if good else 'FAIL'} {what}: {value:.2e} (at most {bound:.0e})")


def load(directory, **options):
    return AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager", **options).eval()


def make(kind, dtype, options, work):
    """A base in `dtype` and an adapter on all of its linears, both random."""
    base, adapter = work / "base", work / "adapter"
    for directory in (base, adapter):
        shutil.rmtree(directory, ignore_errors=True)
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]).to(DTYPES[dtype])
    model.save_pretrained(base)
    config = LoraConfig(r=6, lora_alpha=9, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False,
                        **options)
    get_peft_model(model, config).save_pretrained(adapter)
    return base, adapter


def logits_of(model):
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([ids])).logits[0].float() for ids in SEQUENCES])


def read(directory):
    tensors = {}
    for path in sorted(directory.glob("model*.safetensors")):
        tensors.update(load_file(path))
    return tensors


def steps_apart(a, b):
    """The number of steps of the dtype between the elements of two tensors."""
    kind = {2: torch.int16, 4: torch.int32}[a.element_size()]
    low = torch.iinfo(kind).min

    def ordered(tensor):
        bits = tensor.contiguous().view(kind).long()
        return torch.where(bits < 0, low - bits, bits)

    return (ordered(a) - ordered(b)).abs()


def compare(report, arguments, kind, stored, chosen, options=PLAIN, name="adapter"):
    dtype = chosen or stored
    work = arguments.work / f"{kind}-{stored}-{chosen or 'kept'}-{name.replace(' ', '-')}"
    work.mkdir(parents=True, exist_ok=True)
    base, adapter = make(kind, stored, options, work)
    merged = work / "merged"
    run(arguments.loam, "merge", "--model", base, "--adapter", adapter, "--out", merged, "--overwrite", "--no-check",
        *(["--dtype", chosen, "--max-shard-size", "50KB"] if chosen else []))
    print(f"  {kind} in {stored}{f' to {chosen}, in shards' if chosen else ''}, {name}")

    adapted = PeftModel.from_pretrained(load(base, dtype=torch.float32), adapter)
    expected_logits = logits_of(adapted)
    expected = {name: tensor.to(DTYPES[dtype]) for name, tensor in adapted.merge_and_unload().state_dict().items()}
    ours = read(merged)
    tied = CONFIGS[kind].tie_word_embeddings
    names = set(expected) - ({"lm_head.weight"} if tied else set())
    report.check("names that only one of the two has", len(names ^ set(ours)), 0)
    report.check("tensors of another dtype or shape",
                 sum(ours[n].dtype != DTYPES[dtype] or ours[n].shape != expected[n].shape for n in names), 0)
    steps = torch.cat([steps_apart(ours[n], expected[n]).flatten() for n in names])
    # Near zero, where terms cancel, the steps of float32 are smaller than the error of a sum.
    size = torch.cat([(ours[n].float() - expected[n].float()).abs().flatten() for n in names])
    if dtype == "f32":
        report.check("largest difference from PEFT's merge", float(size.max()), 1e-6)
    else:
        report.check("largest difference from PEFT's merge, in steps of the dtype", int(steps.max()), 1)
        report.check("elements that differ", float((steps > 0).float().mean()), 1e-3)

    model, loading = AutoModelForCausalLM.from_pretrained(merged, dtype="auto", output_loading_info=True)
    report.check("keys that transformers misses or does not expect",
                 len(loading["missing_keys"]) + len(loading["unexpected_keys"]), 0)
    report.check("transformers takes another dtype", int(model.dtype != DTYPES[dtype]), 0)
    reference = logits_of(load(merged, dtype=torch.float32))
    scale = float(expected_logits.abs().max())
    report.check("logits of the merged model against base and adapter, of the largest",
                 float((reference - expected_logits).abs().max()) / scale, LOGIT_TOLERANCE[dtype])
    source, target = work / "sequences.json", work / "logits.safetensors"
    source.write_text(json.dumps({"sequences": SEQUENCES}))
    run(arguments.logits, merged, "-", source, target)
    mine = load_file(target)["logits"]
    report.check("loam's logits of it against transformers'", float((mine - reference).abs().max()) / scale, 1e-5)
    if options:
        run(arguments.logits, base, adapter, source, target)
        mine = load_file(target)["logits"]
        report.check("loam's logits of base and adapter against PEFT's",
                     float((mine - expected_logits).abs().max()) / scale, 1e-5)
        ranks = {tuple(t.shape)[0] for n, t in load_file(adapter / "adapter_model.safetensors").items() if "lora_A" in n}
        report.check("ranks that do not differ", int(len(ranks) < 4), 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--logits", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    report = Report()
    for kind in CONFIGS:
        for stored in DTYPES:
            compare(report, arguments, kind, stored, None)
        compare(report, arguments, kind, "bf16", "f32")
        compare(report, arguments, kind, "f32", "f16")
        compare(report, arguments, kind, "f32", None, PATTERNS, "ranks and alphas by module")
        compare(report, arguments, kind, "f32", None, STABILISED, "and rank-stabilised")
    sys.exit(report.failed)


if __name__ == "__main__":
    main()
