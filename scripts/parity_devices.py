#!/usr/bin/env python3
"""Compares `loam train`, `eval` and `generate` on GPUs with the CPU, for models and adapters of random configurations.

A case draws a configuration of a family, a checkpoint and the settings of an adapter by a seed. Every device trains three
steps on the same examples. AdamW's epsilon is 1, so an update is nearly proportional to its gradient: with the usual epsilon
the sign of a gradient that is only rounding would move a parameter as far as any other.

In f32, losses and tensors of a device differ from those of `ref` by rounding. In bf16, they differ from those of `ref` in
f32 about as much as those of `cpu` in bf16 do.

    scripts/parity_devices.py [--count N] [--seed S] [--devices cuda,opencl] [--dtypes f32,bf16] [FAMILY...]

cuda runs on the driver of the tests unless LOAM_CUDA=real. Each case gives one line: for each device and dtype, the largest
relative error of a loss and of a tensor. The exit code is 1 if anything differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

sys.path.insert(0, str(Path(__file__).parent))
import parity_families
from parity_families import Draw

ROOT = Path(__file__).parent.parent
# The error of a tensor is the norm of its difference from ref's, by the norm of what training changed in it. A tensor whose
# gradient is only rounding is compared with a part of the update of the whole adapter.
FLOORS = dict(f32=1e-4, bf16=1e-2)
# The error of a GPU is at most TIMES that of cpu in the same dtype, which is taken as these at least.
TIMES = dict(f32=10, bf16=3)
LEAST_LOSS, LEAST_TENSOR = dict(f32=3e-7, bf16=2e-3), dict(f32=1e-5, bf16=3e-2)
ADAPTERS = 12  # that are drawn until loam accepts one
LETTERS, TOKENS = 26, 31
TOKENIZER = {"version": "1.0", "added_tokens": [], "model": {
    "type": "BPE", "vocab": {chr(97 + i): i for i in range(LETTERS)} | {f"<{i}>": i for i in range(LETTERS, TOKENS)},
    "merges": []}}


def llama(draw):
    return parity_families.common(draw, "llama", own_head_dim=draw.flag(), rms_norm_eps=1e-5, attention_bias=draw.flag(),
                                  mlp_bias=draw.flag())


def bloom(draw):
    heads = draw.randint(1, 5)
    return dict(parity_families.IDS, model_type="bloom", hidden_size=heads * 2 * draw.randint(2, 8),
                n_layer=draw.randint(1, 2), n_head=heads, vocab_size=draw.randint(32, 70), layer_norm_epsilon=1e-5)


FAMILIES = dict(llama=llama, bloom=bloom) | parity_families.FAMILIES


def draw_config(draw, family):
    """A configuration; some have heads of 64, which tiles of tensor cores fill."""
    config = FAMILIES[family](draw)
    config["vocab_size"] = max(config["vocab_size"], TOKENS + 1)
    config["architectures"] = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family]]
    for key in ("num_hidden_layers", "n_layer", "n_layers"):
        if key in config and "layer_types" not in config and "no_rope_layers" not in config:
            config[key] = min(config[key], 2)
    ropes = json.dumps(config.get("rope_parameters", {}))
    sized = "partial_rotary_factor" in ropes or "longrope" in ropes  # what was drawn for the size of a head
    if "head_dim" in config and not sized and draw.random() < 0.33:
        config["head_dim"] = 64
    return config


def write_tensors(model, seed):
    """Makes every tensor of a fresh model random, biases and norms too. Returns the shapes."""
    path = model / "model.safetensors"
    generator = torch.Generator().manual_seed(seed)
    tensors = load_file(path)
    for name, tensor in tensors.items():
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
        if tensor.dim() == 1:
            tensors[name] = (tensor.float() + 0.2 * noise).to(tensor.dtype).contiguous()
        else:
            scale = 0.7 if any(part in name for part in ("emb", "wte", "wpe")) else tensor.shape[-1] ** -0.5
            tensors[name] = (scale * noise).to(tensor.dtype).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def modules_of(shapes):
    """Last names of the linears in layers, and of the embedding and the head."""
    inner, outer = set(), set()
    for name, shape in shapes.items():
        parts = name.removesuffix(".weight").split(".")
        if len(shape) == 2 and name.endswith(".weight"):
            (inner if any(part.isdigit() for part in parts) else outer).add(parts[-1])
    return sorted(inner), sorted(outer - {"wpe", "embed_positions"})


def pattern(draw, names, values):
    chosen = draw.sample(names, draw.randint(1, min(3, len(names))))
    return ",".join(f"{name}={draw.choice(values)}" for name in chosen)


def draw_adapter(draw, shapes):
    """Options of loam train for the settings of an adapter."""
    inner, outer = modules_of(shapes)
    if draw.random() < 0.1:
        return ["--method", "full"]
    targets = draw.sample(inner, draw.randint(1, len(inner)))
    if draw.random() < 0.25:
        targets += draw.sample(outer, 1)
    options = ["--target-modules", ",".join(targets), "--lora-r", draw.choice([1, 2, 3, 4, 7, 8, 16, 33]),
               "--lora-alpha", draw.choice([1, 3, 8, 16])]
    if draw.random() < 0.35:
        options += ["--rank-pattern", pattern(draw, targets, [1, 2, 5, 9, 17])]
    if draw.random() < 0.35:
        options += ["--alpha-pattern", pattern(draw, targets, [0.5, 2, 11, 32])]
    dora = draw.random() < 0.35
    changing = [] if dora else ["pissa", "olora", "pissa_niter_4"]
    init = draw.choice(["gaussian", "true", "false", "orthogonal", *changing])
    if not dora and init in ("true", "false") and draw.flag():
        options.append("--lora-bias")
    options += ["--init-lora-weights", init] + ["--use-dora"] * dora
    if draw.random() < 0.25:
        options.append("--use-rslora")
    if draw.random() < 0.35:
        options += ["--lora-dropout", draw.choice([0.1, 0.5])]
    options += ["--bias", draw.choice(["none", "none", "all", "lora_only"])]
    return list(map(str, options + draw_rest(draw, shapes, inner, outer, targets)))


def draw_rest(draw, shapes, inner, outer, targets):
    """Options beside those of the targets."""
    options = []
    norms = [name for name in ("norm", "ln_f") if any(f".{name}." in f".{key}" for key in shapes)]
    rest = [name for name in inner + outer + norms if name not in targets]
    if rest and draw.random() < 0.35:
        options += ["--modules-to-save", ",".join(draw.sample(rest, draw.randint(1, min(2, len(rest)))))]
        if draw.random() < 0.3:
            options.append("--ensure-weight-tying")
    elif draw.random() < 0.2:
        tokens = sorted(draw.sample(range(LETTERS), draw.randint(1, 5)))
        options += ["--trainable-token-indices", ",".join(map(str, tokens))]
    if draw.random() < 0.2:
        options += ["--gradient-checkpointing", draw.choice(["mlp", "block"])]
    if draw.random() < 0.2:
        options += ["--gradient-accumulation-steps", 2]
    if draw.random() < 0.2:
        options += ["--loraplus-lr-ratio", 4]
    return options


def read_result(directory):
    for name in ("adapter_model.safetensors", "model.safetensors"):
        if (directory / name).exists():
            return {key: value.double() for key, value in load_file(directory / name).items()}
    raise FileNotFoundError(f"{directory}: no result")


def read_losses(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def say_failure(done):
    lines = done.stderr.strip().splitlines() or ["no message"]
    return f"exit code {done.returncode}: {lines[-1]}"


class Case:
    def __init__(self, arguments, family, seed):
        self.arguments, self.seed, self.draw = arguments, seed, Draw(f"{family} {seed}")
        self.name = f"{family}-{seed}"
        self.directory = arguments.work / self.name
        self.config = draw_config(self.draw, family)
        self.length = min([16] + [self.config[key] for key in ("max_position_embeddings", "n_positions")
                                  if key in self.config])
        self.used = None
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        (self.directory / "config.json").write_text(json.dumps(self.config))
        (self.directory / "tokenizer.json").write_text(json.dumps(TOKENIZER))
        texts = ["".join(self.draw.choice("abcdefghijklmnop") for _ in range(self.draw.randint(2, 15))) for _ in range(8)]
        (self.directory / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))

    def loam(self, device, *command):
        environment = dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", POCL_MAX_PTHREAD_COUNT="1",
                           XDG_CACHE_HOME=str(self.arguments.work / "cache"),
                           POCL_CACHE_DIR=str(self.arguments.work / "pocl"))
        if device == "cuda" and os.environ.get("LOAM_CUDA") != "real":
            environment["LD_LIBRARY_PATH"] = ":".join(filter(None, [
                os.environ.get("LD_LIBRARY_PATH"), str(self.arguments.build / "tests/tools/fake_cuda")]))
        return subprocess.run([str(self.arguments.build / "loam"), *map(str, command)], capture_output=True, text=True,
                              env=environment, timeout=600)

    def make_model(self):
        """What keeps loam from making the model, or None."""
        done = self.loam("cpu", "init", "--config", self.directory / "config.json", "--tokenizer",
                         self.directory / "tokenizer.json", "--out", self.directory / "model", "--quiet",
                         "--dtype", self.draw.choice(["f32", "bf16", "f16"]))
        if done.returncode != 0:
            return say_failure(done)
        self.shapes = write_tensors(self.directory / "model", self.seed)
        return None

    def draw_options(self):
        self.options = draw_adapter(self.draw, self.shapes)

    def train(self, device, dtype, *more):
        """Losses and tensors, and what went wrong."""
        out = self.directory / f"{device}-{dtype}{'-start' if more else ''}"
        done = self.loam(device, "train", "--model", self.directory / "model", "--data", self.directory / "data.jsonl",
                         "--out", out, "--overwrite", "--max-steps", 3, "--batch-size", 2, "--max-length", self.length,
                         "--logging-steps", 1, "--learning-rate", self.arguments.rate, "--adam-epsilon", 1,
                         "--lr-scheduler-type", "constant", "--preflight", "off", "--device", device, "--dtype", dtype,
                         *self.options, *more)
        if done.returncode != 0:
            return None, say_failure(done)
        return (read_losses(out), read_result(out)), None

    def choose_adapters(self):
        """The adapter of ref, and where it may have a factor the one of cpu beside it."""
        if "--method" in self.options:
            return ["--model", self.directory / "ref-f32"]
        chosen = ["--model", self.directory / "model", "--adapter", self.directory / "ref-f32"]
        settings = json.loads((self.directory / "ref-f32/adapter_config.json").read_text())
        alone = settings["use_dora"] or settings["modules_to_save"] or settings["bias"] != "none"
        if not alone and not settings["trainable_token_indices"]:
            chosen += ["--adapter", f"{self.directory / 'cpu-f32'}:-0.5"]
        return chosen

    def use(self, device, dtype):
        """A loss and generated text, and what went wrong."""
        common = [*self.choose_adapters(), "--device", device, "--dtype", dtype]
        done = self.loam(device, "eval", *common, "--data", self.directory / "data.jsonl", "--max-length", self.length,
                         "--json")
        if done.returncode != 0:
            return None, "eval: " + say_failure(done)
        loss = json.loads(done.stdout)["eval_loss"]
        done = self.loam(device, "generate", *common, "--prompt", "abc", "--max-new-tokens", 3, "--temperature", 0)
        if done.returncode != 0:
            return None, "generate: " + say_failure(done)
        return (loss, done.stdout), None

    def check_use(self, device, dtype):
        """How using the adapters differs from ref."""
        self.used = self.used or self.use("ref", dtype)
        reference, wrong = self.used
        used, other = self.use(device, dtype)
        if wrong is not None or other is not None:
            return [f"{device} {dtype}: {other}, on ref {wrong}"]
        close = abs(used[0] - reference[0]) <= TIMES[dtype] * LEAST_LOSS[dtype] * abs(reference[0])
        return [] if close and used[1] == reference[1] else [f"{device} {dtype}: {used}, on ref {reference}"]


def errors(result, expected, start, dtype):
    """The largest relative error of a loss, and of each tensor with its name, the largest first."""
    loss = max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(result[0], expected[0], strict=True))
    if set(result[1]) != set(expected[1]):
        return loss, [(float("inf"), "other tensors " + str(sorted(set(result[1]) ^ set(expected[1]))[:3]))]
    whole = sum(float((expected[1][key] - start[key]).square().sum()) for key in start) ** 0.5
    tensors = []
    for key in start:
        update = float((expected[1][key] - start[key]).norm())
        difference = float((result[1][key] - expected[1][key]).norm())
        tensors.append((difference / max(update, FLOORS[dtype] * whole, 1e-30), key))
    return loss, sorted(tensors, reverse=True)


def too_far(result, cpu, dtype):
    """How the errors of a device are larger than those of cpu allow, or None."""
    (loss, tensors), (cpu_loss, cpu_tensors) = result, cpu
    limits = {key: TIMES[dtype] * max(error, LEAST_TENSOR[dtype]) for error, key in cpu_tensors}
    bad = [f"{key} {error:.1e} of {limits.get(key, 0):.1e}" for error, key in tensors if not error <= limits.get(key, 0)]
    if not bad and loss <= TIMES[dtype] * max(cpu_loss, LEAST_LOSS[dtype]):
        return None
    return f"loss {loss:.1e} (cpu {cpu_loss:.1e}), {len(bad)} tensors: {', '.join(bad[:4])}"


def compare(arguments, family, seed):
    begin = time.monotonic()
    case = Case(arguments, family, seed)
    wrong = case.make_model()
    if wrong is not None:
        return "none", f"{case.name}: no model: {wrong}"
    for _ in range(ADAPTERS):
        case.draw_options()
        expected, wrong = case.train("ref", "f32")
        if wrong is None:
            break
    else:
        return "none", f"{case.name}: refused: {wrong} [{' '.join(case.options)}]"
    start = case.train("ref", "f32", "--learning-rate", "0", "--weight-decay", "0")[0][1]
    report, found = [], []
    for dtype in arguments.dtypes.split(","):
        cpu = None
        for device in ["cpu"] + [name for name in arguments.devices.split(",") if dtype == "f32" or name == "cuda"]:
            result, wrong = case.train(device, dtype)
            if wrong is not None:
                found.append(f"{device} {dtype}: {wrong}")
                continue
            measured = errors(result, expected, start, dtype)
            report.append(f"{device} {dtype} {measured[0]:.0e} {measured[1][0][0]:.0e}")
            cpu = cpu or measured
            wrong = too_far(measured, cpu, dtype)
            if wrong is not None:
                found.append(f"{device} {dtype}: {wrong}")
            if dtype == "f32":
                found += case.check_use(device, dtype)
    text = f"{case.name} ({time.monotonic() - begin:.0f} s): {'; '.join(report)} [{' '.join(case.options)}]"
    if not found:
        shutil.rmtree(case.directory)
        return "ok", text
    return "FAIL", text + "".join(f"\n       {line}" for line in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="model types (default: all)")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release")
    parser.add_argument("--work", type=Path, default=ROOT / "build/parity/devices", help="keeps the cases that differ")
    parser.add_argument("--count", type=int, default=3, help="cases of each family")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--devices", default="cuda,opencl")
    parser.add_argument("--dtypes", default="f32,bf16")
    parser.add_argument("--rate", type=float, default=0.3)
    arguments = parser.parse_args()
    arguments.work, arguments.build = arguments.work.resolve(), arguments.build.resolve()
    torch.set_num_threads(1)
    counts = dict(ok=0, none=0, FAIL=0)
    for i in range(arguments.count):
        for family in arguments.families or list(FAMILIES):
            kind, text = compare(arguments, family, arguments.seed + i)
            counts[kind] += 1
            print(f"  {kind:4} {text}", flush=True)
    print(f"  devices: {counts['ok']} cases agree, {counts['FAIL']} differ, {counts['none']} refused")
    sys.exit(1 if counts["FAIL"] else 0)


if __name__ == "__main__":
    main()
