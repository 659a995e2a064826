#!/usr/bin/env python3
"""Prints what a training step costs at least, and the time that GPUs would take for it by their datasheets: no GPU is used.

    bench/roofline.py [LOAM]        LOAM is the command, build/release/loam by default

The operations and bytes of each op are those of `loam plan --json`. An op takes the longer one of its operations at the peak of
the tensor cores and its bytes at the bandwidth of the memory; ops run one after the other. The update of the adapter is added
as nine reads or writes of a value in f32 for each trained one: its norm, the value, two moments, and zeroing the gradient.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

# Peak of f16 or bf16 products with f32 sums, without sparsity: processors x multiply-adds of each in a cycle x 2 x boost clock
# (GHz). GeForce cards make half as many with f32 sums as with f16 sums. Then the bandwidth (GB/s) and the memory (GiB).
GPUS = [
    ("T4", 40, 512, 1.590, 320, 16, "datasheet of the T4; Turing whitepaper"),
    ("RTX 2080 Ti", 68, 256, 1.545, 616, 11, "Turing whitepaper"),
    ("RTX 3080", 68, 256, 1.710, 760, 10, "GA102 whitepaper"),
    ("RTX 4090", 128, 256, 2.520, 1008, 24, "Ada whitepaper"),
    ("H100 SXM", 132, 2048, 1.830, 3350, 80, "datasheet of the H100; Hopper whitepaper"),
]

MODELS = {
    "BLOOM-1b7": {"model_type": "bloom", "architectures": ["BloomForCausalLM"], "vocab_size": 250880, "hidden_size": 2048,
                  "n_layer": 24, "n_head": 16, "layer_norm_epsilon": 1e-5},
    "Qwen3-1.7B": {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": 151936, "hidden_size": 2048,
                   "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
                   "head_dim": 128, "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000,
                   "hidden_act": "silu", "tie_word_embeddings": True},
}
# What others report: who, model, tokens of a batch and of its sequences, tokens a second, and the cards it may be compared with.
OTHERS = [
    ("qvac-fabric, LoRA over Q8_0 on an RTX 4090, sequences of 128 tokens", "Qwen3-1.7B", 128, 128, 116, ["RTX 4090"]),
    ("the reference notebook (PEFT, f16): 100 steps of 4 prompts of SQuAD, about 870 tokens, in 64.7 s on a card that it does "
     "not name", "BLOOM-1b7", 870, 256, 870 * 100 / 64.7, ["T4", "RTX 2080 Ti", "RTX 3080"]),
]
# Tokens of a batch and of its sequences.
BATCHES = [(128, 128), (1024, 1024), (4096, 1024)]


def peak(gpu):
    """Operations a second."""
    _, processors, multiply_adds, clock, _, _, _ = gpu
    return processors * multiply_adds * 2 * clock * 1e9


def plan(loam, config, tokens, length):
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "config.json").write_text(json.dumps(config))
        command = [loam, "plan", "--model", directory, "--device", "cpu", "--dtype", "bf16", "--target-modules", "all-linear",
                   "--lora-r", "8", "--max-length", str(length), "--token-budget", str(tokens), "--memory-limit", "none",
                   "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def seconds(gpu, result):
    bandwidth = gpu[4] * 1e9
    ops = sum(max(op["flops"] / peak(gpu), op["bytes"] / bandwidth) for op in result["ops"])
    return ops + 9 * result["gradients_bytes"] / bandwidth


def gibibytes(result):
    return (result["peak_bytes"] - result["process_bytes"]) / 2**30


def main():
    loam = sys.argv[1] if len(sys.argv) > 1 else "build/release/loam"
    print("| GPU | TFLOP/s | GB/s | memory (GiB) | source |\n| --- | ---: | ---: | ---: | --- |")
    for gpu in GPUS:
        print(f"| {gpu[0]} | {peak(gpu) / 1e12:.1f} | {gpu[4]:,} | {gpu[5]} | {gpu[6]} |")
    results = {(model, batch): plan(loam, config, *batch) for model, config in MODELS.items() for batch in BATCHES}
    print("\n| model | tokens | TFLOP | GB | operations a byte | memory (GiB) |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for (model, (tokens, _)), result in results.items():
        moved = result["bytes"] + 9 * result["gradients_bytes"]
        print(f"| {model} | {tokens:,} | {result['flops'] / 1e12:.2f} | {moved / 1e9:.1f} | {result['flops'] / moved:.0f} | "
              f"{gibibytes(result):.1f} |")
    names = " | ".join(gpu[0] for gpu in GPUS)
    print(f"\n| model | tokens | {names} |\n| --- | ---: |{' ---: |' * len(GPUS)}")
    for (model, (tokens, _)), result in results.items():
        cells = " | ".join(f"{1e3 * seconds(gpu, result):.1f} ms, {tokens / seconds(gpu, result):,.0f}/s" for gpu in GPUS)
        print(f"| {model} | {tokens:,} | {cells} |")
    print("\n| who | model | tokens/s | of the bound of | of the peak |\n| --- | --- | ---: | --- | --- |")
    for who, model, tokens, length, rate, names in OTHERS:
        result = plan(loam, MODELS[model], tokens, length)
        gpus = [gpu for gpu in GPUS if gpu[0] in names]
        bounds = ", ".join(f"{gpu[0]}: {rate * seconds(gpu, result) / tokens:.1%}" for gpu in gpus)
        peaks = ", ".join(f"{rate * result['flops'] / tokens / peak(gpu):.1%}" for gpu in gpus)
        print(f"| {who} | {model} | {rate:,.0f} | {bounds} | {peaks} |")


if __name__ == "__main__":
    main()
