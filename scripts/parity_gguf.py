#!/usr/bin/env python3
"""Compares `loam export --gguf` with llama.cpp: base and adapter must give loam's greedy tokens there.

The `gguf` package writes the base model (with its table of tensor names; the rows are reordered here as llama.cpp's
converter does), loam writes the adapter, and llama-cpp-python loads both and generates greedily, all in float32. The
same comparison without the adapter checks the base, and that the adapter changes the answers.

With --families the models are tiny random ones that loam makes and trains for a few steps, and the names of the exported
tensors of every golden are compared with those of the `gguf` package.

The prompts are the first questions of a SQuAD file. The exit code is 1 when a token differs. scripts/parity calls this.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from safetensors.torch import load_file

F32 = 0  # ggml's number


def run(*command, text=""):
    done = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"parity: {' '.join(map(str, command))}\n{done.stderr[-4000:]}")
    return done.stdout


def read_model(directory):
    index = directory / "model.safetensors.index.json"
    files = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists() else ["model.safetensors"]
    tensors = {}
    for name in files:
        tensors.update({key: value.float().numpy() for key, value in load_file(directory / name).items()})
    return tensors


def bloom_rows(weight, heads):
    """[heads, 3, d] to [3, heads, d], along the first axis."""
    return np.ascontiguousarray(weight.reshape(heads, 3, -1, *weight.shape[1:]).swapaxes(0, 1)).reshape(weight.shape)


def rope_rows(weight, heads):
    """The two halves of a head, interleaved."""
    return np.ascontiguousarray(weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2)).reshape(weight.shape)


def describe_sizes(writer, config):
    """What every architecture has; returns the numbers of heads and layers."""
    heads = config.get("n_head", config.get("num_attention_heads"))
    kv_heads = config.get("num_key_value_heads", heads)
    hidden = config.get("n_embd", config.get("hidden_size", config.get("n_embed")))
    layers = config.get("n_layer", config.get("num_hidden_layers"))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config.get("n_positions", config.get("max_position_embeddings", config.get("seq_length", 2048))))
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(config.get("intermediate_size", 4 * hidden))
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    return heads, kv_heads, layers


def describe_layer_norm(writer, config):
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])


def describe_rope(writer, config):
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.get("rope_theta", (config.get("rope_parameters") or {}).get("rope_theta", 10000.0)))


def describe_gemma2(writer, config):
    describe_rope(writer, config)
    writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    writer.add_sliding_window(config["sliding_window"])


def describe_phi3(writer, config):
    describe_rope(writer, config)
    writer.add_rope_scaling_orig_ctx_len(config["max_position_embeddings"])
    writer.add_sliding_window(config["sliding_window"])


def keep(name, weight, heads, kv_heads):
    return weight


def change_bloom(name, weight, heads, kv_heads):
    return bloom_rows(weight, heads) if ".query_key_value." in name else weight


def change_llama(name, weight, heads, kv_heads):
    if ".q_proj." in name:
        return rope_rows(weight, heads)
    return rope_rows(weight, kv_heads) if ".k_proj." in name else weight


def change_gemma(name, weight, heads, kv_heads):
    return weight + 1 if name.endswith("norm.weight") else weight


def change_gpt2(name, weight, heads, kv_heads):
    turned = name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))
    return np.ascontiguousarray(weight.T) if turned else weight


# By model_type: architecture, metadata besides the sizes, and what llama.cpp's converter does to a tensor.
FAMILIES = {
    "bloom": ("BLOOM", describe_layer_norm, change_bloom),
    "llama": ("LLAMA", describe_rope, change_llama),
    "qwen2": ("QWEN2", describe_rope, keep),
    "gemma2": ("GEMMA2", describe_gemma2, change_gemma),
    "gpt2": ("GPT2", describe_layer_norm, change_gpt2),
    "phi3": ("PHI3", describe_phi3, keep),
}

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
         "initializer_range": 0.1}
MODELS = {
    "qwen2": {**SIZES, "architectures": ["Qwen2ForCausalLM"], "tie_word_embeddings": False, "use_sliding_window": False},
    "gemma2": {**SIZES, "architectures": ["Gemma2ForCausalLM"], "head_dim": 16, "query_pre_attn_scalar": 16,
               "sliding_window": 12, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
               "hidden_activation": "gelu_pytorch_tanh"},
    "gpt2": {"architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256,
             "layer_norm_epsilon": 1e-5, "initializer_range": 0.1},
    "phi3": {**SIZES, "architectures": ["Phi3ForCausalLM"], "sliding_window": 256, "pad_token_id": 0,
             "original_max_position_embeddings": 256},
}
RANKS = {"qwen2": "q_proj=3", "gemma2": "up_proj=3", "gpt2": "c_attn=3", "phi3": "qkv_proj=3"}


def add_vocabulary(writer, size):
    """Adds placeholder tokens: only ids are used and compared."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"<{i}>" for i in range(size)])
    writer.add_token_types([gguf.TokenType.NORMAL] * size)
    writer.add_token_merges(["< 0"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def write_base(directory, path):
    config = json.loads((directory / "config.json").read_text())
    kind = config["model_type"]
    writer = gguf.GGUFWriter(path, kind)
    architecture, describe, change = FAMILIES[kind]
    heads, kv_heads, layers = describe_sizes(writer, config)
    describe(writer, config)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    tensors = read_model(directory)
    add_vocabulary(writer, config["vocab_size"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture], layers)
    for name, weight in tensors.items():
        bare = name.removeprefix("transformer.") if kind == "bloom" else name
        if bare.endswith("inv_freq") or (bare == "lm_head.weight" and config.get("tie_word_embeddings")):
            continue
        target = names.get_name(bare, try_suffixes=(".weight", ".bias"))
        if target is None:
            sys.exit(f"parity: the gguf package has no name for {name}")
        writer.add_tensor(target, change(name, weight, heads, kv_heads))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def greedy_llama(base, adapter, prompts, counts, context):
    model = llama_cpp.Llama(str(base), lora_path=str(adapter) if adapter else None, n_ctx=context, n_threads=1,
                            n_threads_batch=1, logits_all=True, type_k=F32, type_v=F32, verbose=False)
    results = []
    for prompt, count in zip(prompts, counts):
        model.reset()
        fed, got, margins = list(prompt), [], []
        while len(got) < count:
            model.eval(fed)
            logits = np.array(model.scores[model.n_tokens - 1])
            top = np.sort(logits)[-2:]
            margins.append(float(top[1] - top[0]))
            fed = [int(logits.argmax())]
            got += fed
        results.append((got, margins))
    model.close()
    return results


def greedy_loam(arguments, adapter, prompts):
    results = []
    for prompt in prompts:
        command = [arguments.loam, "generate", "--model", arguments.model, "--prompt", prompt, "--max-new-tokens",
                   arguments.new, "--threads", 1, "--dtype", "f32", "--json"]
        done = json.loads(run(*command, *(["--adapter", adapter] if adapter else [])))
        results.append((done["prompt_tokens"], done["ids"]))
    return results


def prompt_ids(arguments, prompts, counts):
    """loam's ids of the prompts, after the begin-of-sequence token if loam adds one."""
    config = json.loads((arguments.model / "config.json").read_text())
    results = []
    for prompt, count in zip(prompts, counts):
        ids = json.loads(run(arguments.loam, "tokenize", "--model", arguments.model, "--no-special-tokens", "--json",
                             text=prompt))["ids"]
        results.append([config["bos_token_id"]] * (count - len(ids)) + ids)
    return results


def compare(what, ours, reference):
    same = sum(a[1] == b[0] for a, b in zip(ours, reference))
    print(f"  {'ok  ' if same == len(ours) else 'FAIL'} {what}: {same} of {len(ours)} prompts, "
          f"{sum(len(a[1]) for a in ours)} tokens")
    for index, ((_, mine), (other, margins)) in enumerate(zip(ours, reference)):
        if mine == other:
            continue
        place = next((i for i, (a, b) in enumerate(zip(mine, other)) if a != b), min(len(mine), len(other)))
        print(f"       prompt {index}, token {place}: loam {mine[place:place + 3]}, llama.cpp "
              f"{other[place:place + 3]}, whose first is ahead by {margins[place]:.1e}")
    return same == len(ours)


def questions(path, count):
    found = []
    for article in json.loads(path.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            found += [qa["question"].strip() for qa in paragraph["qas"]][:1]
    return found[:count]


def compare_model(arguments):
    """The greedy tokens of arguments.model, alone and with arguments.adapter."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    base, lora = arguments.work / "base.gguf", arguments.work / "adapter.gguf"
    write_base(arguments.model, base)
    good = True
    plain = greedy_loam(arguments, None, arguments.prompts)
    adapted = greedy_loam(arguments, arguments.adapter, arguments.prompts)
    prompts = prompt_ids(arguments, arguments.prompts, [count for count, _ in plain])
    context = max(map(len, prompts)) + arguments.new + 8
    reference = greedy_llama(base, None, prompts, [len(ids) for _, ids in plain], context)
    good &= compare("the base's greedy tokens", plain, reference)
    for dtype in ("f32", "f16"):
        run(arguments.loam, "export", "--model", arguments.model, "--adapter", arguments.adapter, "--gguf", lora,
            "--overwrite", "--dtype", dtype)
        reference = greedy_llama(base, lora, prompts, [len(ids) for _, ids in adapted], context)
        if dtype == "f32":
            good &= compare("base and adapter", adapted, reference)
        else:
            same = sum(a[1] == b[0] for a, b in zip(adapted, reference))
            print(f"       with the adapter in f16, which rounds: {same} of {len(adapted)}")
    changed = sum(a[1] != b[1] for a, b in zip(plain, adapted))
    print(f"  {'ok  ' if changed > 0 else 'FAIL'} the adapter changes {changed} of {len(plain)} answers")
    return good and changed > 0


def compare_family(arguments, kind, options):
    """A tiny random model, with an adapter that loam trains."""
    tiny = Path(__file__).parent.parent / "tests" / "data" / "tiny"
    work = arguments.work / kind
    work.mkdir(parents=True, exist_ok=True)
    vocabulary = json.loads((tiny / "config.json").read_text())["vocab_size"]
    config = {**MODELS[kind], "model_type": kind, "vocab_size": vocabulary, "bos_token_id": 1, "eos_token_id": 2}
    (work / "config.json").write_text(json.dumps(config))
    run(arguments.loam, "init", "--config", work / "config.json", "--tokenizer", tiny / "tokenizer.json", "--out",
        work / "model", "--overwrite")
    run(arguments.loam, "train", "--model", work / "model", "--data", tiny / "questions.json", "--out", work / "adapter",
        "--overwrite", "--max-steps", 10, "--learning-rate", 1e-2, "--target-modules", "all-linear", "--dtype", "f32", *options)
    return compare_model(argparse.Namespace(**vars(arguments) | {"model": work / "model", "adapter": work / "adapter",
                                                                  "work": work / "gguf"}))


def compare_names(arguments):
    """The tensors that loam exports of every golden with those that the gguf package names."""
    bad = 0
    for golden in sorted((Path(__file__).parent / "../tests/parity/goldens").iterdir()):
        if not (golden / "adapter").is_dir():
            continue
        path = arguments.work / "names.gguf"
        command = [arguments.loam, "export", "--model", golden, "--adapter", golden / "adapter", "--gguf", path, "--overwrite"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            told = "llama.cpp has no architecture" in done.stderr or "has no place for" in done.stderr
            bad += not told
            print(f"  {'    ' if told else 'FAIL'} names {golden.name}: {done.stderr.strip().splitlines()[-1][:110]}")
            continue
        reader = gguf.GGUFReader(path)
        kind = reader.fields["general.architecture"].contents()
        architecture = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == kind)
        names = gguf.get_tensor_name_map(architecture, 64)
        modules = {name.removeprefix("base_model.model.").rsplit(".lora_", 1)[0]
                   for name in load_file(golden / "adapter" / "adapter_model.safetensors")}
        wanted = {f"{names.get_name(module)}.weight.lora_{part}" for module in modules for part in "ab"}
        same = wanted == {tensor.name for tensor in reader.tensors}
        bad += not same
        if not same:
            print(f"  FAIL names {golden.name}: {sorted(wanted ^ {tensor.name for tensor in reader.tensors})[:4]}")
    print(f"  {'FAIL' if bad else 'ok  '} names of tensors, by the gguf package")
    return bad == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--families", action="store_true")
    parser.add_argument("--loam", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()
    arguments.prompts = questions(arguments.squad, arguments.count)
    if not arguments.families:
        sys.exit(0 if compare_model(arguments) else 1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    good = compare_names(arguments)
    for kind in MODELS:
        for what, options in (("", []), (" with rsLoRA and ranks of its own", ["--use-rslora", "--rank-pattern", RANKS[kind]])):
            print(f"  {kind}{what}")
            good &= compare_family(arguments, kind, options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
