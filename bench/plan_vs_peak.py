#!/usr/bin/env python3
"""Compares the memory that `loam plan` plans with the peak of a run, for every family.

    bench/plan_vs_peak.py [--loam LOAM] [--work DIR] [--lengths LENGTHS] [--dtype DTYPE] [--all] [NAME...]

The models are those of tests/parity/goldens, enlarged to 70 to 270 MB: the widths grow until the hidden size is near
512, the window and the positions with them, the vocabulary to 32,000 and the layers to ten. `loam init` fills them. Of each
model_type one golden is taken, with --all every golden. For f32 and bf16, LoRA (rank 16 on all linears) and full
fine-tuning, `loam plan` and `loam bench step` (two steps) get the same options. A line of a Markdown table compares
`peak_bytes` with `peak_rss_bytes`, in MiB. The exit code is 1 if any differs by more than 5 % of the peak plus 32 MiB.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
GOLDENS = ROOT / "tests/parity/goldens"
MEBIBYTE = 1 << 20
HIDDEN, VOCABULARY, LAYERS = 512, 32000, 10
WIDTHS = "hidden_size n_embd n_embed d_model word_embed_proj_dim head_dim rotary_dim".split()
INNER = "intermediate_size n_inner ffn_dim ffn_hidden_size".split()
LENGTHS = "original_max_position_embeddings sliding_window".split()
POSITIONS = "n_positions max_position_embeddings max_seq_len".split()
LAYER_COUNTS = "num_hidden_layers n_layer n_layers".split()
LISTS = "layer_types no_rope_layers".split()  # an entry for each layer
FACTORS = "short_factor long_factor".split()  # an entry for each pair of rotated elements
METHODS = {"LoRA": ["--lora-r", "16", "--target-modules", "all-linear"], "full": ["--method", "full"]}


def first_of(config, keys):
    return next(config[key] for key in keys if config.get(key))


def enlarge(config):
    """The config with widths times `by`."""
    by = max(1, HIDDEN // first_of(config, WIDTHS))

    def change(key, value):
        if isinstance(value, dict):
            return {k: change(k, v) for k, v in value.items()}
        if key in LISTS and value:
            return (value * LAYERS)[:LAYERS]
        if key in FACTORS:
            return [factor for factor in value for _ in range(by)]
        if key in LAYER_COUNTS:
            return LAYERS
        if key == "vocab_size":
            return VOCABULARY
        if isinstance(value, int) and key in WIDTHS + LENGTHS:
            return by * value
        if key in POSITIONS:
            return max(1024, by * value)
        return 2 * by * value if isinstance(value, int) and key in INNER else value

    return {key: change(key, value) for key, value in config.items()}


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"plan_vs_peak: {' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def choose(names, every):
    """Goldens by name: those asked for, or one of each model_type."""
    found, types = {}, set()
    for path in sorted(GOLDENS.glob("*/config.json")):
        config = json.loads(path.read_text())
        kind = (config["model_type"], config.get("alibi"), config.get("new_decoder_architecture"))
        wanted = path.parent.name in names if names else every or kind not in types
        types.add(kind)
        if wanted:
            found[path.parent.name] = config
    return found


class Table:
    def __init__(self, arguments):
        self.arguments, self.failed = arguments, 0
        print("| model | parameters | dtype | method | planned | measured | planned of measured |")
        print("| --- | --- | --- | --- | --- | --- | --- |")

    def measure(self, name, config, dtype):
        loam, work = self.arguments.loam, self.arguments.work
        work.mkdir(parents=True, exist_ok=True)
        source, model = work / f"{name}.json", work / f"{name}-{dtype}"
        source.write_text(json.dumps(enlarge(config)))
        made = run(loam, "init", "--config", source, "--dtype", dtype, "--out", model, "--overwrite", "--json")
        for method, options in METHODS.items():
            shared = ["--model", model, "--lengths", self.arguments.lengths, "--dtype", dtype, "--threads", "2", *options]
            planned = run(loam, "plan", *shared, "--json")["peak_bytes"]
            measured = run(loam, "bench", "step", *shared, "--warm-up", "1", "--steps", "1", "--no-ceiling",
                           "--json")["peak_rss_bytes"]
            self.add(name, made["parameters"], dtype, method, planned, measured)
        shutil.rmtree(model)

    def add(self, name, parameters, dtype, method, planned, measured):
        good = abs(planned - measured) <= 0.05 * measured + 32 * MEBIBYTE
        self.failed += not good
        print(f"| {name} | {parameters / 1e6:.0f} M | {dtype} | {method} | {planned / MEBIBYTE:,.0f} | "
              f"{measured / MEBIBYTE:,.0f} | {planned / measured:.3f}{'' if good else ' OFF'} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="goldens (default: one of each model_type)")
    parser.add_argument("--all", action="store_true", help="every golden")
    parser.add_argument("--loam", type=Path, default=ROOT / "build/release/loam")
    parser.add_argument("--work", type=Path, default=ROOT / "build/plan_vs_peak")
    parser.add_argument("--dtype", choices=["f32", "bf16"], action="append", help="default: both")
    parser.add_argument("--lengths", default="256,200,144", help="of the examples, as for loam bench")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    table = Table(arguments)
    for name, config in choose(set(arguments.names), arguments.all).items():
        for dtype in arguments.dtype or ("f32", "bf16"):
            table.measure(name, config, dtype)
    sys.exit(1 if table.failed else 0)


if __name__ == "__main__":
    main()
