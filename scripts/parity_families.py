#!/usr/bin/env python3
"""Compares models of random configurations of every family with transformers' and PEFT's.

A case draws a configuration, a checkpoint and a LoRA adapter by a seed. transformers and PEFT compute logits, losses, every
gradient, ten steps of full fine-tuning and of LoRA, and greedy tokens for two prompts (tests/parity/make_goldens.py).
test_golden compares loam with these in float32 on the devices ref and cpu.

    scripts/parity_families.py [--count N] [--seed S] [FAMILY...]

Each case gives one line. The exit code is 1 if anything differs. scripts/parity calls this.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests/parity"))

import make_goldens
import torch
from families import IDS
from transformers.utils import logging

TRIES = 6  # of weights, where float32 rounds too much away or transformers' generate disagrees with its own model
ACTIVATIONS = ["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
EPSILONS = [1e-6, 1e-5, 1e-3]


class Draw(random.Random):
    def flag(self):
        return self.random() < 0.5

    def between(self, low, high):
        return round(self.uniform(low, high), 3)

    def divisor(self, number):
        return self.choice([i for i in range(1, number + 1) if number % i == 0])

    def kinds(self, layers):
        return [self.choice(["full_attention", "sliding_attention"]) for _ in range(layers)]


# ---- RoPE ----

def rope(draw, rotated, kinds=None):
    """rope_parameters for R rotated elements, and max_position_embeddings."""
    kinds = kinds or ["default", "default", "linear", "llama3", "yarn", "longrope"] + ["dynamic"] * (rotated > 2)
    kind = draw.choice([k for k in kinds if k != "yarn" or rotated > 2])
    original, positions = draw.randint(6, 12), 64
    settings = dict(rope_type=kind, rope_theta=draw.choice([50.0, 500.0, 10000.0]))
    if kind in ("linear", "dynamic", "llama3", "yarn"):
        settings["factor"] = draw.between(1.5, 6)
    if kind == "dynamic":
        positions = original
    if kind == "llama3":
        settings |= dict(low_freq_factor=1.0, high_freq_factor=draw.between(2, 5), original_max_position_embeddings=32)
    if kind == "yarn":
        settings["original_max_position_embeddings"] = original
        if draw.flag():
            settings |= dict(beta_fast=draw.between(4, 32), beta_slow=draw.between(0.5, 2))
        extra = draw.choice([{}, dict(attention_factor=draw.between(0.7, 1.4)), dict(mscale=0.8, mscale_all_dim=0.5)])
        settings |= extra | draw.choice([{}, dict(truncate=False)])
    if kind == "longrope":
        settings |= dict(original_max_position_embeddings=original,
                         short_factor=[draw.between(1, 2) for _ in range(rotated // 2)],
                         long_factor=[draw.between(1.5, 5) for _ in range(rotated // 2)])
        settings |= draw.choice([{}, dict(factor=draw.between(1.5, 4)), dict(attention_factor=draw.between(0.8, 1.3))])
    return settings, positions


def with_rope(draw, config, head_dim, partial=False, kinds=None):
    """The config with RoPE; `partial`: on a part of each head."""
    rotated = 2 * draw.randint(1, head_dim // 2) if partial else head_dim
    settings, config["max_position_embeddings"] = rope(draw, rotated, kinds)
    if partial:
        settings["partial_rotary_factor"] = rotated / head_dim
    config["rope_parameters"] = settings
    return config


# ---- families ----

def common(draw, kind, own_head_dim=False, act="hidden_act", partial=False, kinds=None, **settings):
    """The keys that most families share; `own_head_dim`: the hidden size is not that of the heads."""
    heads, head_dim = draw.randint(1, 6), 2 * draw.randint(2, 5)
    hidden = heads * draw.randint(10 // heads + 1, 20 // heads + 2) if own_head_dim else heads * head_dim
    config = dict(IDS, model_type=kind, hidden_size=hidden, num_attention_heads=heads,
                  num_key_value_heads=draw.divisor(heads), intermediate_size=draw.randint(8, 36),
                  num_hidden_layers=draw.randint(1, 3), vocab_size=draw.randint(20, 60),
                  tie_word_embeddings=draw.flag())
    if own_head_dim:
        config["head_dim"] = head_dim
    if act:
        config[act] = draw.choice(ACTIVATIONS)
    return with_rope(draw, config, head_dim, partial, kinds) | settings


def window(draw):
    return draw.randint(2, 9)


def qwen2(draw, kind="qwen2", own_head_dim=None, **settings):
    own = draw.flag() if own_head_dim is None else own_head_dim
    config = common(draw, kind, own_head_dim=own, rms_norm_eps=draw.choice(EPSILONS), use_sliding_window=draw.flag(),
                    sliding_window=window(draw), **settings)
    return config | dict(max_window_layers=draw.randint(0, config["num_hidden_layers"]))


def qwen3(draw):
    return qwen2(draw, "qwen3", own_head_dim=True, attention_bias=draw.flag())


def mistral(draw):
    return common(draw, "mistral", own_head_dim=draw.flag(), rms_norm_eps=draw.choice(EPSILONS),
                  sliding_window=draw.choice([None, window(draw)]))


def ministral(draw):
    config = common(draw, "ministral", own_head_dim=True, rms_norm_eps=draw.choice(EPSILONS), sliding_window=window(draw))
    return config | dict(layer_types=draw.kinds(config["num_hidden_layers"]))


def ministral3(draw):
    config = common(draw, "ministral3", own_head_dim=True, kinds=["yarn"], sliding_window=draw.choice([None, window(draw)]))
    config["rope_parameters"]["llama_4_scaling_beta"] = draw.between(0.1, 0.8)
    return config


def gemma(draw):
    return common(draw, "gemma", own_head_dim=True, act=None, attention_bias=draw.flag(),
                  rms_norm_eps=draw.choice(EPSILONS))


def gemma2(draw, kind="gemma2"):
    config = common(draw, kind, own_head_dim=True, act=None, attention_bias=draw.flag(), sliding_window=window(draw),
                    query_pre_attn_scalar=draw.randint(3, 20),
                    final_logit_softcapping=draw.choice([None, draw.between(1.5, 5)]))
    return config | dict(layer_types=draw.kinds(config["num_hidden_layers"]))


def gemma2_capped(draw):
    return gemma2(draw) | dict(attn_logit_softcapping=draw.choice([None, draw.between(1, 4)]))


def two_ropes(draw, config):
    """A table for the layers with a window beside the one without; only the latter is scaled."""
    scaled = config["rope_parameters"]
    local = dict(rope_type="default", rope_theta=draw.choice([30.0, 70.0]))
    return config | dict(rope_parameters=dict(full_attention=scaled, sliding_attention=local))


def gemma3(draw):
    return two_ropes(draw, gemma2(draw, "gemma3_text"))


def phi3(draw):
    config = common(draw, "phi3", partial=True, kinds=["default", "longrope"], sliding_window=draw.choice([None, window(draw)]))
    original = config["rope_parameters"].get("original_max_position_embeddings", config["max_position_embeddings"])
    return config | dict(original_max_position_embeddings=original)


def phi(draw):
    return common(draw, "phi", own_head_dim=draw.flag(), partial=True, layer_norm_eps=draw.choice(EPSILONS))


def gpt2(draw):
    heads = draw.randint(1, 5)
    return dict(IDS, model_type="gpt2", n_embd=heads * draw.randint(4, 10), n_head=heads, n_layer=draw.randint(1, 3),
                n_positions=64, n_inner=draw.choice([None, draw.randint(8, 36)]), vocab_size=draw.randint(20, 60),
                activation_function=draw.choice(ACTIVATIONS), layer_norm_epsilon=draw.choice(EPSILONS),
                tie_word_embeddings=draw.flag())


def gpt_neox(draw):
    config = common(draw, "gpt_neox", partial=True, use_parallel_residual=draw.flag(), attention_bias=draw.flag(),
                    layer_norm_eps=draw.choice(EPSILONS))
    del config["num_key_value_heads"]
    return config


def gptj(draw):
    config = gpt2(draw)
    head_dim = 2 * draw.randint(2, 5)
    return config | dict(model_type="gptj", n_embd=config["n_head"] * head_dim, rotary_dim=2 * draw.randint(1, head_dim // 2),
                         tie_word_embeddings=False)


def opt(draw):
    heads = draw.randint(1, 5)
    return dict(IDS, model_type="opt", hidden_size=heads * draw.randint(4, 10), num_attention_heads=heads,
                num_hidden_layers=draw.randint(1, 3), ffn_dim=draw.randint(8, 36), max_position_embeddings=64,
                vocab_size=draw.randint(20, 60), activation_function=draw.choice(["relu", "gelu", "gelu_new"]),
                enable_bias=draw.flag(), tie_word_embeddings=draw.flag())


def falcon(draw):
    config = common(draw, "falcon", act="activation", bias=draw.flag(), layer_norm_epsilon=draw.choice(EPSILONS))
    groups, inner = config.pop("num_key_value_heads"), config.pop("intermediate_size")
    config["ffn_hidden_size"] = inner
    form = draw.choice(["one key", "alibi", "groups"])
    if form == "one key":
        return config | dict(multi_query=True, parallel_attn=True)
    if form == "groups":
        return config | dict(new_decoder_architecture=True, num_kv_heads=groups)
    del config["rope_parameters"]
    # transformers rounds slope times position to bf16, which is exact for slopes that are powers of two. Its eager
    # attention adds the slopes twice.
    heads = draw.choice([1, 2, 4, 8])
    return config | dict(multi_query=False, parallel_attn=False, alibi=True, num_attention_heads=heads,
                         hidden_size=2 * heads * draw.randint(2, 3), max_position_embeddings=64)


def mpt(draw):
    heads = draw.randint(1, 6)
    return dict(IDS, model_type="mpt", d_model=heads * draw.randint(3, 6), n_heads=heads, n_layers=draw.randint(1, 3),
                max_seq_len=64, vocab_size=draw.randint(20, 60), layer_norm_epsilon=draw.choice(EPSILONS))


def stablelm(draw):
    return common(draw, "stablelm", partial=True, use_qkv_bias=draw.flag(), use_parallel_residual=draw.flag(),
                  layer_norm_eps=draw.choice(EPSILONS))


def starcoder2(draw):
    return common(draw, "starcoder2", own_head_dim=draw.flag(), use_bias=draw.flag(),
                  sliding_window=draw.choice([None, window(draw)]), norm_epsilon=draw.choice(EPSILONS))


def olmo2(draw):
    return common(draw, "olmo2", own_head_dim=draw.flag(), attention_bias=draw.flag(), rms_norm_eps=draw.choice(EPSILONS))


def olmo3(draw):
    config = common(draw, "olmo3", own_head_dim=draw.flag(), attention_bias=draw.flag(),
                    rms_norm_eps=draw.choice(EPSILONS), sliding_window=window(draw))
    return two_ropes(draw, config) | dict(layer_types=draw.kinds(config["num_hidden_layers"]))


def granite(draw):
    return common(draw, "granite", own_head_dim=draw.flag(), attention_bias=draw.flag(), mlp_bias=draw.flag(),
                  rms_norm_eps=draw.choice(EPSILONS), embedding_multiplier=draw.between(0.4, 2), logits_scaling=draw.between(0.4, 3),
                  residual_multiplier=draw.between(0.4, 1.3), attention_multiplier=draw.between(0.1, 0.8))


def smollm3(draw):
    config = common(draw, "smollm3", own_head_dim=draw.flag(), attention_bias=draw.flag(), mlp_bias=draw.flag(),
                    rms_norm_eps=draw.choice(EPSILONS), use_sliding_window=draw.flag(), sliding_window=window(draw))
    return config | draw.choice([dict(no_rope_layer_interval=draw.randint(2, 3)),
                                 dict(no_rope_layers=[draw.randint(0, 1) for _ in range(config["num_hidden_layers"])])])


def cohere(draw):
    return common(draw, "cohere", own_head_dim=draw.flag(), attention_bias=draw.flag(),
                  logit_scale=draw.between(0.3, 2), layer_norm_eps=draw.choice(EPSILONS))


def cohere2(draw):
    config = common(draw, "cohere2", own_head_dim=draw.flag(), attention_bias=draw.flag(),
                    logit_scale=draw.between(0.3, 2), sliding_window=window(draw), layer_norm_eps=draw.choice(EPSILONS))
    return config | dict(layer_types=draw.kinds(config["num_hidden_layers"]))


def glm4(draw):
    return common(draw, "glm4", own_head_dim=True, partial=True, attention_bias=draw.flag(),
                  rms_norm_eps=draw.choice(EPSILONS))



def arcee(draw):
    return common(draw, "arcee", own_head_dim=draw.flag(), attention_bias=draw.flag(), mlp_bias=draw.flag(),
                  rms_norm_eps=draw.choice(EPSILONS))


FAMILIES = dict(qwen2=qwen2, qwen3=qwen3, mistral=mistral, ministral=ministral, ministral3=ministral3, gemma=gemma,
                gemma2=gemma2_capped, gemma3_text=gemma3, phi3=phi3, phi=phi, gpt2=gpt2, gpt_neox=gpt_neox, gptj=gptj,
                opt=opt, falcon=falcon, mpt=mpt, stablelm=stablelm, starcoder2=starcoder2, olmo2=olmo2, olmo3=olmo3,
                granite=granite, smollm3=smollm3, cohere=cohere, cohere2=cohere2, glm4=glm4, arcee=arcee)


# ---- cases ----

def greedy_sizes(draw, config):
    """Tokens of two prompts and new tokens: beside the border of a RoPE that depends on the length of a sequence."""
    ropes = config.get("rope_parameters", {})
    for settings in (ropes, ropes.get("full_attention", {})):
        if settings.get("rope_type") == "dynamic":
            positions = config["max_position_embeddings"]
            return [(2, positions - 2), (positions - 2, 2)]
        if settings.get("rope_type") == "longrope":
            original = settings["original_max_position_embeddings"]
            return [(2, original - 2), (original + 2, 8)]
    return [(draw.randint(1, 6), 12), (draw.randint(8, 15), 6)]


def draw_golden(draw, family):
    config = FAMILIES[family](draw)
    lora = dict(r=draw.randint(1, 4), lora_alpha=draw.randint(2, 8))
    if family == "gpt2":
        lora["fan_in_fan_out"] = True
    return dict(config=config, lora=lora, attention="sdpa" if config.get("alibi") else "eager",
                lengths=[draw.randint(6, 18), draw.randint(1, 18), draw.randint(2, 18)],
                store=dict(dtype=draw.choice([torch.float32, torch.bfloat16, torch.float16])),
                greedy=greedy_sizes(draw, config))


def describe(config):
    """The keys that a case differs in from others, in one line."""
    hidden = {"bos_token_id", "eos_token_id", "pad_token_id", "model_type"}
    return " ".join(f"{key}={json.dumps(value)}" for key, value in config.items() if key not in hidden)


class Comparison:
    def __init__(self, arguments):
        self.test, self.work = arguments.golden_test.resolve(), arguments.work.resolve()
        self.failed = 0

    def make(self, name, golden, seed, checks=()):
        """What keeps PyTorch from giving a reference, or None."""
        directory = self.work / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        try:
            with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
                make_goldens.make_golden(name, golden, seed, directory, checks)
        except (AssertionError, RuntimeError) as error:
            return f"no reference: {type(error).__name__}: {error}"
        return None

    def test_golden(self, name):
        """How loam differs, or None."""
        done = subprocess.run([self.test, name], capture_output=True, text=True,
                              env=os.environ | dict(LOAM_GOLDENS=str(self.work), LOAM_GOLDEN_DTYPE="f32",
                                                    CMOCKA_MESSAGE_OUTPUT="stdout"))
        if done.returncode == 0:
            return None
        lines = [line for line in (done.stdout + done.stderr).splitlines()
                 if any(word in line for word in ("off", "bound", "instead", "error", "rror:", "not "))]
        return " | ".join(lines[:3]) or (done.stdout + done.stderr)[-300:]

    def differs(self, name, golden, seed):
        """Tries other weights where PyTorch gives no reference. Whether float32 rounds too much of one away takes as long
        to find out as all the rest, and matters only where loam differs."""
        for attempt in range(TRIES):
            wrong = self.make(name, golden, 1000 * seed + attempt)
            if wrong is None:
                wrong = self.test_golden(name)
                if wrong is None or self.make(name, golden, 1000 * seed + attempt, ["conditioned"]) is None:
                    break
        return wrong

    def compare(self, family, seed):
        start = time.monotonic()
        draw = Draw(f"{family} {seed}")
        golden = draw_golden(draw, family)
        name = f"{family}-{seed}"
        wrong = self.differs(name, golden, seed)
        self.failed += wrong is not None
        print(f"  {'ok  ' if wrong is None else 'FAIL'} {name} ({time.monotonic() - start:.1f} s): {describe(golden['config'])}"
              + (f"\n       {wrong}" if wrong else ""), flush=True)
        if wrong is None:
            shutil.rmtree(self.work / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="model types (default: all)")
    parser.add_argument("--golden-test", type=Path, default=ROOT / "build/release/tests/parity_run_test_golden")
    parser.add_argument("--work", type=Path, default=ROOT / "build/parity/families", help="keeps the cases that differ")
    parser.add_argument("--count", type=int, default=4, help="cases of each family")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    unknown = set(arguments.families) - set(FAMILIES)
    if unknown:
        parser.error(f"unknown families {sorted(unknown)}; known are {' '.join(FAMILIES)}")
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    comparison = Comparison(arguments)
    families = arguments.families or list(FAMILIES)
    for family in families:
        for i in range(arguments.count):
            comparison.compare(family, arguments.seed + i)
    cases = len(families) * arguments.count
    print(f"  families: {cases} cases of {len(families)} families, {comparison.failed} differ")
    sys.exit(1 if comparison.failed else 0)


if __name__ == "__main__":
    main()
