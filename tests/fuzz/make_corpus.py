#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets: corpus/PARSER/NAME, small examples of every feature and of known kinds of
malformed input. Regressions that fuzzing found are stored as corpus/PARSER/found-NAME and not changed."""
import gzip
import hashlib
import json
import pathlib
import struct
import zipfile

ROOT = pathlib.Path(__file__).parent / "corpus"


def write(parser, name, data):
    path = ROOT / parser / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def document(value):
    return json.dumps(value, ensure_ascii=False)


# ---- safetensors ----


def container(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else document(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def entry(dtype, shape, start, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def safetensors():
    pair = {"a": entry("F32", [2, 2], 0, 16), "b": entry("BF16", [3], 16, 22)}
    files = {
        "pair": container({"__metadata__": {"format": "pt"}, **pair}, bytes(22)),
        "half": container({"x": entry("F16", [1, 1, 1, 2], 0, 4)}, bytes(4)),
        "integers": container({"i": entry("I64", [1], 0, 8), "m": entry("BOOL", [3], 8, 11)}, bytes(11)),
        "scalar": container({"s": entry("F32", [], 0, 4)}, bytes(4)),
        "no-elements": container({"e": entry("F32", [0, 5], 0, 0)}),
        "no-tensors": container({}),
        "padded-header": container(document(pair).encode() + b"    ", bytes(22)),
        "empty": b"",
        "short": b"\x01\x02\x03",
        "header-too-long": container(pair, bytes(22), size=1 << 20),
        "header-size-huge": container(pair, bytes(22), size=(1 << 64) - 1),
        "header-no-json": container(b"not json"),
        "header-array": container(b"[]"),
        "truncated-data": container(pair, bytes(10)),
        "trailing-data": container(pair, bytes(30)),
        "overlap": container({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
        "hole": container({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, bytes(12)),
        "backwards": container({"a": entry("F32", [1], 8, 4)}, bytes(8)),
        "negative-offset": container({"a": entry("F32", [1], -4, 0)}, bytes(4)),
        "negative-shape": container({"a": entry("F32", [-1], 0, 4)}, bytes(4)),
        "shape-overflow": container({"a": entry("F32", [1 << 62, 1 << 62], 0, 16)}, bytes(16)),
        "shape-wraps": container({"a": entry("F32", [1 << 32, 1 << 32], 0, 0)}),
        "wrong-size": container({"a": entry("F32", [3], 0, 16)}, bytes(16)),
        "rank-5": container({"a": entry("F32", [1, 1, 1, 1, 1], 0, 4)}, bytes(4)),
        "unknown-dtype": container({"a": entry("F3", [1], 0, 4)}, bytes(4)),
        "duplicate": container(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                               b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        "fields-missing": container({"a": {"dtype": "F32"}}, bytes(4)),
        "fields-wrong": container({"a": {"dtype": 1, "shape": "x", "data_offsets": [0]}}, bytes(4)),
        "entry-no-object": container({"a": 3}, bytes(4)),
        "metadata-null": container({"__metadata__": None, **pair}, bytes(22)),
        "metadata-wrong": container({"__metadata__": 1, **pair}, bytes(22)),
        "name-nul": container(b'{"a\\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', bytes(1)),
        "deep": container(b'{"a":' + b"[" * 2100 + b"]" * 2100 + b"}"),
    }
    for name, data in files.items():
        write("safetensors", name, data)


def shards():
    shard = container({"a": entry("F32", [1], 0, 4), "c": entry("BF16", [2], 4, 8)}, bytes(8))
    again = container({"b": entry("F32", [1], 0, 4)}, bytes(4))
    index = lambda **files: document({"metadata": {"total_size": 12}, "weight_map": files}).encode()
    both = index(a="a.safetensors", b="b.safetensors", c="a.safetensors")
    files = {
        "both": parts(both, shard),
        "one": parts(index(b="b.safetensors"), b""),
        "not-listed": parts(index(a="a.safetensors", b="b.safetensors"), shard),
        "twice": parts(index(a="a.safetensors", b="b.safetensors"), again),
        "other-shard": parts(index(a="b.safetensors", b="a.safetensors"), shard),
        "not-there": parts(index(z="a.safetensors"), shard),
        "no-such-file": parts(index(a="c.safetensors"), shard),
        "outside": parts(index(a="../a.safetensors"), shard),
        "parent": parts(index(a=".."), shard),
        "itself": parts(index(a="model.safetensors.index.json"), shard),
        "no-name": parts(index(a=""), shard),
        "number": parts(index(a=5), shard),
        "nothing": parts(index(), shard),
        "no-map": parts({"metadata": {}}, shard),
        "map-array": parts({"weight_map": []}, shard),
        "shard-empty": parts(both, b""),
        "empty": b"",
    }
    for name, data in files.items():
        write("shards", name, data)


# ---- config.json ----

BLOOM = {"model_type": "bloom", "vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4}
LLAMA = {"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5}


# ---- files of torch.save ----


def torch_file():
    """The files of tests/data/torch, but not the long ones, and their pickles."""
    pickles = set()
    for path in sorted((ROOT.parents[1] / "data" / "torch").glob("*.bin")):
        if path.stat().st_size > 10_000:
            continue
        write("torch_file", path.stem, path.read_bytes())
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                for name in file.namelist():
                    if name.endswith("/data.pkl") and file.read(name) not in pickles:
                        pickles.add(file.read(name))
                        write("pickle", path.stem, file.read(name))
    write("torch_file", "empty", b"")
    write("torch_file", "end-only", b"PK\5\6" + bytes(18))
    write("torch_file", "comment", b"PK\5\6" + bytes(16) + struct.pack("<H", 3) + b"abc")
    write("torch_file", "zip64-nowhere", b"PK\5\6" + bytes(4) + b"\xff" * 12 + bytes(2))
    write("pickle", "empty", b"")
    write("pickle", "system", b"\x80\x02cos\nsystem\nX\2\0\0\0ls\x85R.")
    write("pickle", "itself", b"}q\0X\1\0\0\0ah\0s.")
    write("pickle", "tuple-of-itself", b"(q\0t.")
    write("pickle", "marks", b"(" * 1000 + b"t" * 1000 + b".")
    write("pickle", "memo", b"}r\xff\xff\x3f\0.")
    write("pickle", "long", b"\x8a\x08" + b"\xff" * 8 + b".")


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_file(values=(), tensors=(), data=b"", version=3, counts=None, align=32):
    """values: (key, type, bytes); tensors: (name, dimensions, type, offset)."""
    tensor_count, value_count = counts or (len(tensors), len(values))
    header = b"GGUF" + struct.pack("<IQQ", version, tensor_count, value_count)
    header += b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in values)
    for name, dimensions, kind, offset in tensors:
        header += text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        header += struct.pack("<IQ", kind, offset)
    return header + bytes(-len(header) % align) + data


def gguf():
    adapter = [("general.architecture", 8, text("bloom")), ("general.type", 8, text("adapter")),
               ("adapter.type", 8, text("lora")), ("adapter.lora.alpha", 6, struct.pack("<f", 16.0))]
    pair = [("blk.0.attn_qkv.weight.lora_a", [4, 2], 0, 0), ("blk.0.attn_qkv.weight.lora_b", [2, 3], 1, 32)]
    numbers = [(f"n{kind}", kind, bytes(range(255, 255 - size, -1)))
               for kind, size in enumerate((1, 1, 2, 2, 4, 4, 4, 1)) if size] + \
              [(f"n{kind}", kind, bytes(range(8))) for kind in (10, 11, 12)]
    words = struct.pack("<IQ", 8, 2) + text("a") + text("bc")
    huge = (1 << 64) - 1
    files = {
        "adapter": gguf_file(adapter, pair, bytes(44)),
        "numbers": gguf_file(numbers),
        "arrays": gguf_file([("words", 9, words), ("bytes", 9, struct.pack("<IQ", 0, 3) + bytes(3))]),
        "templates": gguf_file([("tokenizer.chat_templates", 9, struct.pack("<IQ", 8, 1) + text("rag")),
                                ("tokenizer.chat_template.rag", 8, text("{{ documents }}")),
                                ("tokenizer.chat_template", 8, text("{{ messages[0].content }}"))]),
        "version-2": gguf_file(adapter, pair, bytes(44), version=2),
        "version-1": gguf_file(adapter, version=1),
        "big-endian": gguf_file(version=3 << 24),
        "quantised": gguf_file(adapter, [("q", [32, 2], 8, 0)], bytes(68)),
        "alignment": gguf_file([("general.alignment", 4, struct.pack("<I", 64))], [("x", [1], 0, 0)], bytes(4), align=64),
        "alignment-0": gguf_file([("general.alignment", 4, bytes(4))], [("x", [1], 0, 0)], bytes(4)),
        "empty": b"GGUF",
        "counts-huge": gguf_file(counts=(huge, huge)),
        "values-missing": gguf_file(counts=(0, 1)),
        "text-huge": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, huge) + bytes(64),
        "array-huge": gguf_file([("a", 9, struct.pack("<IQ", 12, huge))]),
        "array-of-arrays": gguf_file([("a", 9, struct.pack("<IQ", 9, 1))]),
        "type-unknown": gguf_file([("a", 13, b"")]),
        "offset-huge": gguf_file(tensors=[("x", [1], 0, huge - 3)], data=bytes(4)),
        "offset-beyond": gguf_file(tensors=[("x", [8], 0, 0)], data=bytes(4)),
        "overlap": gguf_file(tensors=[("x", [2], 0, 0), ("y", [2], 0, 4)], data=bytes(16)),
        "twice": gguf_file(tensors=[("x", [1], 0, 0), ("x", [1], 0, 32)], data=bytes(36)),
        "shape-overflow": gguf_file(tensors=[("x", [1 << 62, 1 << 62], 0, 0)], data=bytes(4)),
        "shape-zero": gguf_file(tensors=[("x", [0, 1 << 62, 1 << 62], 0, 0)], data=bytes(4)),
        "rank-huge": gguf_file(tensors=[("x", [1] * 9, 0, 0)], data=bytes(4)),
        "scalar": gguf_file(tensors=[("x", [], 0, 0)], data=bytes(4)),
    }
    files["cut"] = files["adapter"][:150]
    for name, data in files.items():
        write("gguf", name, data)


def config():
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}
    documents = {
        "bloom": BLOOM,
        "bloom-old": {"model_type": "bloom", "n_embed": 16, "num_attention_heads": 3, "num_hidden_layers": 1,
                      "hidden_size": 12, "vocab_size": 9, "layer_norm_epsilon": 1e-5, "initializer_range": 0.02,
                      "apply_residual_connection_post_layernorm": False},
        "bloom-unsupported": {**BLOOM, "apply_residual_connection_post_layernorm": True},
        "llama": LLAMA,
        "llama-untied-biases": {**LLAMA, "tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True,
                                "head_dim": 16, "rope_theta": 500000, "hidden_act": "silu"},
        "llama-linear": {**LLAMA, "rope_scaling": {"type": "linear", "factor": 2.0}},
        "llama-llama3": {**LLAMA, "rope_scaling": llama3},
        "llama-v5": {**LLAMA, "rope_parameters": {**llama3, "rope_theta": 1e4}, "dtype": "bfloat16"},
        "llama-rope-default": {**LLAMA, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
        "llama-rope-unknown": {**LLAMA, "rope_scaling": {"rope_type": "yarn", "factor": 4}},
        "llama-rope-zero": {**LLAMA, "rope_scaling": {**llama3, "factor": 0, "low_freq_factor": 4.0}},
        "llama-rope-wrong": {**LLAMA, "rope_scaling": 5, "rope_theta": -1},
        "two-spellings": {**BLOOM, "n_embed": 24, "hidden_size": 12, "num_hidden_layers": 3, "n_layer": 2,
                          "num_attention_heads": 3, "n_head": 6, "tie_word_embeddings": True, "torch_dtype": "x",
                          "dtype": {"a": ["}", 1]}},
        "told": {**LLAMA, "rope_theta": 3, "rope_scaling": {**llama3, "type": "yarn"},
                 "rope_parameters": {"rope_theta": 5}, "original_max_position_embeddings": 32, "sliding_window": 16,
                 "layer_types": ["full_attention", "x"], "auto_map": {}, "attention_dropout": 0.1},
        "slow-but-exact": {**BLOOM, "slow_but_exact": True, "pretraining_tp": 4},
        "classifier": {**BLOOM, "architectures": ["BloomForTokenClassification"]},
        "quantised": {**LLAMA, "quantization_config": {"bits": 4}},
        "unknown-family": {"model_type": "mamba"},
        "family-missing": {"hidden_size": 8},
        "family-number": {"model_type": 5},
        "odd-head": {**LLAMA, "head_dim": 5},
        "heads-do-not-divide": {**BLOOM, "n_head": 5},
        "no-heads": {**BLOOM, "n_head": 0},
        "negative": {**BLOOM, "hidden_size": -32, "n_layer": -1},
        "huge": {**LLAMA, "hidden_size": 1 << 62, "num_hidden_layers": 1 << 40, "intermediate_size": (1 << 63) - 1},
        "most": {**LLAMA, "hidden_size": 1 << 20, "num_attention_heads": 1 << 14, "num_key_value_heads": 1 << 14,
                 "head_dim": 1 << 14, "intermediate_size": 1 << 22, "vocab_size": 1 << 24, "num_hidden_layers": 1},
        "fraction": {**BLOOM, "n_layer": 2.5},
        "real": {**BLOOM, "n_layer": 2.0, "layer_norm_epsilon": 1},
        "null": {**BLOOM, "n_layer": None},
        "wrong-types": {**BLOOM, "hidden_size": "32", "tie_word_embeddings": 1},
    }
    for name, value in documents.items():
        write("config", name, document(value))
    write("config", "hundred-bits", document({**BLOOM, "n_layer": 10 ** 30}))
    write("config", "real-huge", '{"model_type":"bloom","n_layer":1e400}')
    write("config", "duplicate-key", '{"model_type":"bloom","model_type":"llama"}')
    write("config", "array", "[]")
    write("config", "deep", '{"a":' + "[" * 2100)
    write("config", "bad-utf8", b'{"model_type":"\xff\xfe"}')
    write("config", "truncated", document(LLAMA)[:60])


# ---- tokenizer.json ----

VOCAB = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5, "l": 6, "o": 7, "lo": 8, "w": 9, "low": 10,
         "Ġ": 11, "▁": 12, "e": 13, "<0x0A>": 14}
MERGES = ["a b", "l o", "lo w"]
SPLIT = r"'s|\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def added(id, content, **flags):
    base = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}
    return {**base, **flags}


def tokenizer_of(normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None, added_tokens=(), **model):
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": list(added_tokens) or [added(1, "<s>"), added(2, "</s>")],
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor,
            "decoder": decoder,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": VOCAB,
                      "merges": MERGES, **model}}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def tokenizer():
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                           {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                                   "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}
    sequence = lambda key, *parts: {"type": "Sequence", key: list(parts)}
    forms = {f"normalizer-{form.lower()}": tokenizer_of({"type": form})
             for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "ByteLevel")}
    behaviors = {f"split-{behavior.lower()}": tokenizer_of(None, split({"Regex": SPLIT}, behavior, invert))
                 for behavior, invert in (("Isolated", False), ("Removed", True), ("MergedWithPrevious", False),
                                          ("MergedWithNext", False), ("Contiguous", True))}
    pre_tokenizers = {f"pre-{name.lower()}": tokenizer_of(None, {"type": name, **fields})
                      for name, fields in (("Whitespace", {}), ("WhitespaceSplit", {}), ("BertPreTokenizer", {}),
                                           ("Digits", {"individual_digits": True}),
                                           ("Punctuation", {"behavior": "Isolated"}),
                                           ("CharDelimiterSplit", {"delimiter": "o"}))}
    documents = {
        **forms, **behaviors, **pre_tokenizers,
        "plain": tokenizer_of(),
        "byte-level": tokenizer_of(None, byte_level, byte_level, byte_level),
        "metaspace": tokenizer_of(None, metaspace, None, metaspace, byte_fallback=True, fuse_unk=True),
        "template": tokenizer_of(None, None, template),
        "normalizers": tokenizer_of(sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                                             {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                                             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "o"},
                                             {"type": "Strip", "strip_left": True, "strip_right": True})),
        "pre-sequence": tokenizer_of(None, sequence("pretokenizers", split({"String": " "}, "MergedWithNext"),
                                                    {"type": "Digits", "individual_digits": False}, byte_level)),
        "post-sequence": tokenizer_of(None, byte_level, sequence("processors", byte_level, template), byte_level),
        "decoders": tokenizer_of(None, None, None, sequence(
            "decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}), byte_fallback=True),
        "decoder-strip-most": tokenizer_of(None, None, None, {"type": "Strip", "content": "a",
                                                              "start": (1 << 63) - 1, "stop": 1 << 62}),
        "decoder-grows": tokenizer_of(None, None, None, sequence("decoders", *[
            {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaa"}] * 24)),
        "decoder-bpe": tokenizer_of(None, None, None, {"type": "BPEDecoder", "suffix": "</w>"}),
        "prefix-suffix": tokenizer_of(continuing_subword_prefix="##", end_of_word_suffix="</w>",
                                      vocab={**VOCAB, "##b": 15, "##b</w>": 16, "ab</w>": 17}, merges=["a ##b</w>"]),
        "ignore-merges": tokenizer_of(ignore_merges=True, merges=[["a", "b"], ["l", "o"]]),
        "unk-unknown": tokenizer_of(unk_token="nobody"),
        "unk-null": tokenizer_of(unk_token=None),
        "added-flags": tokenizer_of({"type": "Lowercase"}, byte_level, None, None, [
            added(1, "<s>", lstrip=True, rstrip=True), added(2, "</s>", single_word=True),
            added(15, "Fox", normalized=True, special=False), added(16, "quick\t", rstrip=True), added(0, " ")]),
        "added-empty": tokenizer_of({"type": "Strip", "strip_left": True, "strip_right": True}, None, None, None,
                                    [added(15, ""), added(16, "   ", normalized=True)]),
        "added-twice": tokenizer_of(None, None, None, None, [added(15, "x"), added(16, "x", special=False)]),
        "added-id-lies": tokenizer_of(None, None, None, None, [added(-1, "x"), added(1 << 60, "y")]),
        "vocab-id-huge": tokenizer_of(vocab={"a": (1 << 31) - 1, "b": 1 << 40, "c": -1}, merges=[]),
        "vocab-id-most": tokenizer_of(vocab={"a": (1 << 22) - 1}, merges=[]),
        "vocab-id-twice": tokenizer_of(vocab={"a": 1, "b": 1}, merges=[]),
        "vocab-id-text": tokenizer_of(vocab={"a": "1"}),
        "vocab-empty": tokenizer_of(vocab={}, merges=[]),
        "merge-unknown": tokenizer_of(merges=["a z"]),
        "merge-cycle": tokenizer_of(vocab={"a": 0, "aa": 1, "aaaa": 2}, merges=["a a", "aa aa", "a a"]),
        "merge-wrong": tokenizer_of(merges=["ab", "a b c", 1, ["a"], {"a": 1}]),
        "template-id-lies": tokenizer_of(None, None, {**template, "special_tokens": {
            "<s>": {"id": "<s>", "ids": [1 << 40, -1], "tokens": ["<s>"]}}}),
        "template-no-text": tokenizer_of(None, None, {**template, "single": []}),
        "regex-explodes": tokenizer_of(None, split({"Regex": "(a+)+$"})),
        "regex-alternatives": tokenizer_of(None, split({"Regex": "(a|aa|aaa)*!"})),
        "regex-recurses": tokenizer_of(None, split({"Regex": r"(?<r>\((?:\g<r>|a)*\)|a\g<r>?)"})),
        "regex-repeats": tokenizer_of(None, split({"Regex": "(((a{9}){9}){9}){9}"})),
        "regex-empty": tokenizer_of(None, split({"Regex": ""})),
        "regex-looks-back": tokenizer_of(None, split({"Regex": r"(?<=a)(?<!b|cc)\b(.)\1"})),
        "regex-broken": tokenizer_of(None, split({"Regex": "[a-"})),
        "regex-classes": tokenizer_of(None, split({"Regex": r"[\p{L}&&[^a-c\x{7A}-]]|[]^[:^alpha:]\p{^Nd}]|\W\b\pZ"})),
        "regex-case": tokenizer_of(None, split({"Regex": r"(?i:[ß\u0264]|é(?-i)\p{Lu}|'s)(?x) [ a] # ["})),
        "regex-escapes": tokenizer_of(None, split({"Regex": r"[\o{7}\x4\101\cA\C-b\Q]\x{E9}\xC3\xA9\k<a>(?<a>\0)"})),
        "replace-grows": tokenizer_of(sequence("normalizers", *[
            {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaa"}] * 8)),
        "model-wordpiece": {"version": "1.0", "model": {"type": "WordPiece", "vocab": {"a": 0}}},
        "model-missing": {"version": "1.0"},
        "version-2": {"version": "2.0"},
        "parts-wrong": tokenizer_of([], "x", 5, True),
        "part-unknown": tokenizer_of({"type": "Precompiled", "precompiled_charsmap": "AA=="}),
    }
    for name, value in documents.items():
        write("tokenizer", name, document(value))
    write("tokenizer", "sequence-deep", '{"version":"1.0","model":{"vocab":{"a":0},"merges":[]},"normalizer":' +
          '{"type":"Sequence","normalizers":[' * 100 + "]}" * 100 + "}")
    write("tokenizer", "deep", "[" * 3000)
    write("tokenizer", "surrogate", '{"version":"1.0","model":{"vocab":{"\\ud800":0,"\\u0000":1},"merges":[]}}')
    write("tokenizer", "bad-utf8", b'{"version":"1.0","model":{"vocab":{"\xc3":0,"\xf8":1},"merges":["\xc3 \xf8"]}}')
    write("tokenizer", "two-models", '{"model":{"vocab":{"a":0},"merges":[]},"model":{"vocab":{"b":0},"merges":[]}}')
    write("tokenizer", "empty", "")


# ---- data sets ----


def squad(*paragraphs, **more):
    return document({"version": "v2.0", "data": [{"title": "T", "paragraphs": list(paragraphs)}], **more})


def question(id, *answers, **more):
    return {"id": id, "question": "b?", "answers": [{"text": text, "answer_start": 0} for text in answers], **more}


def dataset():
    files = {
        "squad": squad({"context": "ab a\nb", "qas": [question("1", "a", "ab"), question("2", is_impossible=True)]}),
        "squad-qas-first": squad({"qas": [question("1", "a")], "context": "ab"}),
        "squad-plausible": squad({"context": "ab", "qas": [question("1", plausible_answers=[{"text": "b"}])]}),
        "squad-long": squad({"context": "ab#" * 100, "qas": [question("1", "a"), question("x" * 100, "b" * 80)]}),
        "squad-answer-out": squad({"context": "ab", "qas": [{"id": "1", "question": "b", "answers": [
            {"text": "zz", "answer_start": 1 << 40}]}]}),
        "squad-fields-missing": squad({"context": "ab", "qas": [{"id": "1"}, {"question": "b"}, {}]}, {}),
        "squad-wrong-types": squad({"context": 1, "qas": [{"id": 2, "question": [], "answers": "x"}]}),
        "squad-same-id": squad({"context": "ab", "qas": [question("1", "a"), question("1", "b")]}),
        "squad-two-contexts": '{"data":[{"paragraphs":[{"context":"a","context":"b","qas":[]}]}]}',
        "squad-no-data": '{"version":"v2.0"}',
        "squad-data-last": '{"a":[{"data":[]}],"data":[]}',
        "squad-surrogates": '{"data":[{"paragraphs":[{"context":"\\ud83d\\ude00\\ud83d","qas":['
                            '{"id":"1","question":"\\u0000","answers":[]}]}]}]}',
        "squad-truncated": squad({"context": "ab", "qas": [question("1", "a")]})[:70],
        "squad-deep": '{"data":' + "[" * 2000,
        "squad-open-records": '{"data":[{"paragraphs":[{"qas":[{"id":"1","question":"b","answers":[{"text":"a"',
        "jsonl": '{"text":"ab"}\n{"text":"a","other":[1,{"x":null}]}\n\n{"text":5}\n',
        "jsonl-crlf": '{"text":"ab"}\r\n{"text":"b"}\r\n',
        "jsonl-no-field": '{"tekst":"ab"}\n{"text":null}\n{"text":["a"]}\n[]\n5\n"a"\n',
        "jsonl-broken": '{"text":"ab"\n{"text":"ab"}}\n{"text":"a" "b"}\n{"text":"ab"} {"text":"b"}\n',
        "jsonl-duplicate": '{"text":"a","text":"b"}',
        "jsonl-escapes": '{"text":"\\u0061\\n\\"\\\\\\/\\ud83d\\ude00"}\n{"te\\u0078t":"b"}\n{"text":"\\ud800"}\n',
        "jsonl-deep": '{"x":' + "[" * 1500 + "]" * 1500 + ',"text":"a"}',
        "jsonl-long": '{"text":"' + "ab" * 300 + '"}',
        "jsonl-array": '[{"text":"ab"},{"text":"b"}]',
        "jsonl-returns": '{"text":"ab"}\r{"text":"b"}\r',
        "array-mixed": '[{"text":"ab"},5,"a",[{"text":"b"}],null,{},{"text":"b","data":[{"text":"a"}]}]',
        "array-open": '[{"text":"ab"},{"text":"b"',
        "array-data": '{"version":[1],"data":[{"text":"ab","id":1},{"text":"b"}],"data":[{"text":"c"}]}',
        "array-data-deep": '{"data":[{"a":[{"data":[1]}],"text":"b"},[[]]]}',
        "text": "ab\n\nb a\n  \nthe last line",
        "text-returns": "ab\rb\r\na\n\r\n\rab",
        "utf-16": '{"text":"ab"}'.encode("utf-16-le"),
        "text-special": "<s>ab</s>\n</s></s>\n<s>\n",
        "text-mark": b"\xef\xbb\xbfab\n",
        "text-bad-utf8": b"ab\n\xff\xfe\nab\xc3\n\xed\xa0\x80\n",
        "text-nul": b"a\x00b\n\x00\n",
        "mark-only": b"\xef\xbb\xbf",
        "spaces": " \t\r\n\n ",
        "empty": "",
    }
    for name, data in files.items():
        write("dataset", name, data)


# ---- templates ----


def template():
    files = {
        "squad": "### CONTEXT\n{context}\n\n### QUESTION\n{question}\n\n### ANSWER\n{answer}{eos}",
        "one-field": "{text}",
        "braces": "{{{a}}} {{}} {{{{b}}}}",
        "field-again": "{a}{b}{a}{a}",
        "names": "{a-b.c_9}{Ünï}{0}",
        "no-field": "text",
        "eos-only": "{eos}",
        "empty-name": "{}",
        "open": "{a",
        "open-at-end": "a{",
        "close": "a}b",
        "nested": "{a{b}}",
        "space": "{a b}",
        "line-break": "{a\n}",
        "nul": "{a\0b}{c}",
        "bad-utf8": b"{a}\xff{\xc3}",
        "long-name": "{" + "n" * 2000 + "}",
        "many": "".join("{f%d}" % i for i in range(300)),
        "empty": "",
    }
    for name, data in files.items():
        write("template", name, data)


# ---- special tokens ----


def parts(*values):
    return b"\xff".join(value if isinstance(value, bytes) else document(value).encode() for value in values)


def special():
    files = {
        "texts": parts({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": True}),
        "objects": parts({"bos_token": {"content": "<s>", "lstrip": False}, "eos_token": {"content": "</s>"}}),
        "map": parts(b"", {"bos_token": "<s>", "eos_token": {"content": "</s>"}}),
        "generation": parts(b"", b"", {"bos_token_id": 1, "eos_token_id": [2, 3, 2]}),
        "model": parts(b"", b"", b"", {"bos_token_id": 1, "eos_token_id": 2}),
        "all": parts({"bos_token": "<s>", "model_max_length": 10 ** 30}, {"eos_token": "</s>"},
                     {"eos_token_id": 4}, {"eos_token_id": 5}),
        "none": parts({"bos_token": None, "eos_token": None}, {}, {"eos_token_id": None}, {"eos_token_id": -1}),
        "no-such-token": parts({"bos_token": "nobody", "eos_token": "[EOS]"}, b"", {"bos_token_id": 99}),
        "many-stops": parts(b"", b"", {"eos_token_id": list(range(20))}),
        "ids-wrong": parts(b"", b"", {"bos_token_id": "1", "eos_token_id": [[2]]}),
        "id-huge": parts(b"", b"", {"bos_token_id": 1 << 40, "eos_token_id": 1 << 62}),
        "id-fraction": parts(b"", b"", {"bos_token_id": 1.5}),
        "token-wrong": parts({"bos_token": 5, "eos_token": []}),
        "content-wrong": parts({"bos_token": {"content": {"content": "<s>"}}}),
        "switch-wrong": parts({"add_bos_token": "yes"}),
        "token-nul": parts(b'{"bos_token":"<s>\\u0000x"}'),
        "no-json": parts(b"{", b"]"),
        "empty": b"",
    }
    for name, data in files.items():
        write("special", name, data)


# ---- adapters ----


def adapter():
    path = "base_model.model.transformer.h.0.self_attention.query_key_value."
    lora_a, lora_b = path + "lora_A.weight", path + "lora_B.weight"
    base = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "lora_dropout": 0.05,
            "target_modules": ["query_key_value"], "bias": "none", "base_model_name_or_path": "some/base",
            "init_lora_weights": True, "inference_mode": True}
    good = container({lora_a: entry("F32", [2, 4], 0, 32), lora_b: entry("F32", [12, 2], 32, 128)}, bytes(128))
    half = container({lora_a: entry("F16", [2, 4], 0, 16), lora_b: entry("BF16", [12, 2], 16, 64)}, bytes(64))
    bare = container({"h.0.self_attention.query_key_value.lora_A.default.weight": entry("F32", [2, 4], 0, 32),
                      "h.0.self_attention.query_key_value.lora_B.default.weight": entry("F32", [12, 2], 32, 128)},
                     bytes(128))
    files = {
        "config": parts(base),
        "whole": parts(base, good),
        "half": parts(base, half),
        "bare-names": parts(base, bare),
        "pattern": parts({**base, "target_modules": r".*\.query_key_value"}, good),
        "pattern-explodes": parts({**base, "target_modules": "(([a-z._0-9]+)+)+!"}),
        "pattern-broken": parts({**base, "target_modules": "a)|(b"}),
        "pattern-repeats": parts({**base, "target_modules": "(((.{9}){9}){9}){9}"}),
        "all-linear": parts({**base, "target_modules": "all-linear"}),
        "no-target": parts({**base, "target_modules": ["nobody"]}),
        "targets-wrong": parts({**base, "target_modules": [1, "", None]}),
        "targets-many": parts({**base, "target_modules": ["t%d" % (i % 90) for i in range(200)]}),
        "rank-huge": parts({**base, "r": (1 << 31) - 1, "target_modules": "all-linear"}),
        "rank-wrong": parts({**base, "r": 0}),
        "rank-5": parts({**base, "r": 5}, good),
        "alpha-wrong": parts({**base, "lora_alpha": -1, "lora_dropout": 1}),
        "dora": parts({**base, "use_dora": True}),
        "pissa": parts({**base, "init_lora_weights": "pissa_niter_16"}),
        "gaussian": parts({**base, "init_lora_weights": "gaussian"}, good),
        "unknown-keys": parts({**base, "x" * 1100: 1, "y": [2]}, good),
        "other-type": parts({**base, "peft_type": "IA3"}),
        "other-task": parts({**base, "task_type": 5}),
        "b-missing": parts(base, container({lora_a: entry("F32", [2, 4], 0, 32)}, bytes(32))),
        "unclaimed": parts(base, container({"x": entry("F32", [1], 0, 4)}, bytes(4))),
        "integers": parts(base, container({lora_a: entry("I64", [2, 4], 0, 64), lora_b: entry("I64", [12, 2], 64, 256)},
                                          bytes(256))),
        "same-twice": parts(base, container({lora_a: entry("F32", [2, 4], 0, 32),
                                             lora_a.removeprefix("base_model.model."): entry("F32", [2, 4], 32, 64)},
                                            bytes(64))),
        "no-tensors": parts(base, container({})),
        "weights-short": parts(base, good[:40]),
        "no-json": parts(b"{", good),
        "empty": b"",
    }
    for name, data in files.items():
        write("adapter", name, data)


# ---- the hub ----


def hub():
    commit = "0123456789abcdef0123456789abcdef01234567"
    listing = {"id": "org/name", "sha": commit, "siblings": [
        {"rfilename": "config.json", "size": 12, "blobId": "ab"}, {"rfilename": "a/b.safetensors", "lfs": {"sha256": "ab"}}]}
    modes = {"files": [{"path": "a.bin", "uploadMode": "lfs", "shouldIgnore": False, "oid": "ab"},
                       {"path": "b", "uploadMode": "lfs", "shouldIgnore": True}]}
    parts = {"objects": [
        {"oid": "aa", "size": 10, "actions": {
            "upload": {"href": "https://x/", "header": {"chunk_size": "4", "00001": "p", "2": "q", "3": "r"}},
            "verify": {"href": "https://y/"}}},
        {"oid": "bb"}]}
    files = {
        "listing": listing,
        "listing-empty": {"sha": commit, "siblings": []},
        "listing-no-commit": {"siblings": []},
        "listing-escapes": {"sha": commit, "siblings": [{"rfilename": "../a"}]},
        "listing-absolute": {"sha": commit, "siblings": [{"rfilename": "/a"}]},
        "listing-wrong-types": {"sha": commit, "siblings": [{"rfilename": 1, "size": "x"}, 5]},
        "modes": modes,
        "modes-unknown": {"files": [{"path": "a.bin", "uploadMode": "other"}, {"path": "b"}]},
        "parts": parts,
        "parts-missing": {"objects": [{"oid": "aa", "actions": {"upload": {"href": "x", "header": {"chunk_size": 1}}}}]},
        "parts-endless": {"objects": [{"oid": "aa"}, {"oid": "bb", "actions": {
            "upload": {"href": "x", "header": {"chunk_size": 1}}}}]},
        "refused": {"objects": [{"oid": "aa", "error": {"code": 422, "message": "no"}}]},
    }
    for name, value in files.items():
        write("hub", name, document(value))
    write("hub", "no-json", "[[[[")


def headers():
    write("headers", "file", "HTTP/1.1 302 Found\r\nX-Repo-Commit: 0123456789abcdef0123456789abcdef01234567\r\n"
          'X-Linked-ETag: "ab"\r\nETag: W/"cd"\r\nX-Linked-Size: 12\r\nContent-Length: 5\r\n\r\n')
    write("headers", "ranges", "Content-Range: bytes 1-2/3\nContent-Range: bytes */9\nContent-Range: bytes 9-1/x\n")
    write("headers", "waits", 'Retry-After: 5\nRetry-After: -1\nRateLimit: "api";r=0;t=55\nRateLimit: ;;r=;t\n')
    write("headers", "errors", "X-Error-Code: GatedRepo\nX-Error-Message: \x01\xff\nHTTP/2 200\nContent-Length: 99999999999999999999\n")
    write("headers", "names", "org/name@refs/pr/1\norg/a--b\n../a\na/b/c\ngpt2\na@..\n")
    write("headers", "lines", "no colon\n:\n: x\nETag:\n" + "ETag: " + "a" * 300 + "\n")


def run_file():
    files = {
        "plain": "# a run\nmodel: org/name\ndata: d.json\nlearning_rate: 1e-4\nrank: 4\nshuffle: false\n",
        "lists": "target-modules:\n  - q_proj\n  - v_proj\nseed: \"7\"\n",
        "flow": "{model: 'it''s', out: \"a\\u00e9\\n\\x01\", dtype: bf16}\n",
        "blocks": "model: >-\n  a\n  b\ndata: |\n  c\n",
        "escapes": 'data: "\\L\\P\\N\\_\\uFEFF\\U0001F331"\n',
        "mark": "\ufeffmodel: a\n",
        "sizes": "memory-limit: 1.5GiB\nmax-steps: -1\ngradient-checkpointing: true\n",
        "unknown": "learing-rate: 1\n",
        "twice": "lr: 1\nlearning-rate: 2\n",
        "null": "model: ~\ndata:\n",
        "anchor": "model: &a x\ndata: *a\n",
        "tag": "model: !!str x\n",
        "documents": "model: a\n---\nmodel: b\n",
        "nested": "model: {a: [b]}\n",
        "deep": "model: " + "[" * 200,
        "no-end": 'model: "a\n',
        "nul": 'model: "a\\0b"\n',
        "directives": "%YAML 1.1\n%TAG ! tag:x,2000:\n---\nmodel: a\n...\n",
        "complex-key": "? [a]\n: b\n",
        "share-without-path": 'data: ":0"\n',
        "empty": "",
    }
    for name, text in files.items():
        write("run_file", name, text)


def checkpoint():
    counts = ("step", "total_steps", "updates", "examples", "tokens", "logged_step", "logged_updates", "logged_tokens")
    state = dict.fromkeys(counts, 3) | {"skipped": 0, "eval_step": -1, "best_step": -1, "worse_evaluations": 0}
    reals = ("loss_sum", "last.loss", "last.grad_norm", "learning_rate", "logged_loss_sum", "seconds", "logged_seconds")
    state |= dict.fromkeys(reals, 0.5) | dict.fromkeys(("eval_loss", "best_loss"))
    options = {"lora-r": "8", "seed": "42", "data": {"path": "d.json", "sha256": "00"}}
    event_file = {"name": "events.out.tfevents.1", "bytes": 88}
    root = {"version": 1, "loam": "0.1", "state": state, "epoch": 0.5, "optimiser_step": 3, "threads": 1,
            "event_file": event_file, "options": options}
    exact = state | {"eval_exact_match": 12.5, "best_exact_match": 50, "eval_step": 2, "best_step": 2}
    states = {
        "plain": root,
        "exact-match": root | {"state": exact},
        "other-options": root | {"options": {"seed": 42, "data": "d.json", "lora-r": {"path": "8"}}},
        "no-options": root | {"options": []},
        "no-state": root | {"state": None},
        "no-count": root | {"state": {k: v for k, v in state.items() if k != "tokens"}},
        "huge-count": root | {"state": state | {"tokens": 2**63 - 1}},
        "fraction": root | {"state": state | {"step": 2.5}},
        "no-step": root | {"state": state | {"step": 0, "updates": 0}},
        "more-updates": root | {"state": state | {"updates": 4}},
        "later-version": root | {"version": 2},
        "no-version": {},
    }
    for name, value in states.items():
        text = document(value).encode()
        line = hashlib.sha256(text).hexdigest() + "  loam_state.json\n"
        write("checkpoint", name, text + b"\xff" + line.encode())
    text = document(root).encode()
    sums = {"upwards": "../../etc/passwd", "hidden": ".", "missing": "metrics.jsonl", "no-end": "loam_state.json"}
    for name, file in sums.items():
        line = "0" * 64 + "  " + file + ("" if name == "no-end" else "\n")
        write("checkpoint", "sums-" + name, text + b"\xff" + line.encode())
    write("checkpoint", "empty", "")


# ---- Chat templates ----


def chat():
    templates = {
        "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "tools": "{%- if tools %}{%- for t in tools %}{{- t | tojson(indent=2) }}{%- endfor %}{%- endif %}"
                 "{% for m in messages %}{% if m.tool_calls is defined and m.tool_calls %}{% for c in m.tool_calls %}"
                 "{{ c.function.name ~ '(' ~ c.function.arguments | tojson ~ ')' }}{% endfor %}{% endif %}{% endfor %}",
        "generation": "{% for m in messages %}{% generation %}{{ m.content | default('', true) | trim }}{% endgeneration %}{% endfor %}",
        "macros": "{% macro m(a, b='z', c=a) %}[{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{{ caller() if caller }}]{% endmacro %}"
                  "{{ m(1, c=2) }}{{ m(1, 2, 3, 4, x=5) }}{% call(y) m(0) %}{{ y }}{% endcall %}",
        "scopes": "{% set ns = namespace(x=1) %}{% for i in l if i > ns.x %}{% set ns.x = i %}{{ loop.previtem }}{{ loop.nextitem }}"
                  "{{ loop.length }}{% if loop.last %}{% break %}{% else %}{% continue %}{% endif %}{% else %}none{% endfor %}",
        "blocks": "{% set a, b = 1, 2 %}{% set t | upper | trim %} x{{ a }} {% endset %}{% filter indent(2, true) %}{{ t }}\n{{ b }}{% endfilter %}"
                  "{% with q = s, r = n %}{{ q[::-1] ~ r }}{% endwith %}{% raw %}{{ }}{% endraw %}{#- note -#}",
        "operators": "{{ -7 // 2 }}{{ 7 % -3 }}{{ 2 ** 0.5 }}{{ 1 < 2 <= 2 != 3 }}{{ 'a' in s and not n is odd or l[1:-1] }}{{ 'x' * 3 + 'y' }}{{ [1] + [2] * 2 }}",
        "strings": "{{ s.split(' ', 1) }}{{ s.partition('e') }}{{ s.title().swapcase() }}{{ 'a\\u00e9\\n' }}{{ s.replace('e', '', 1).rjust(20, '*') }}{{ ' x '.strip() }}"
                   "{{ s.startswith(('S', 'T')) }}{{ 'ΑΣ'.lower() }}{{ 'ß'.upper() }}{{ '12'.zfill(5) }}{{ ','.join(['a', 'b']) }}",
        "formats": "{{ '%s %r %05.2f %-4d|%x %c %%' % (s, s, 2.5, 7, 255, 'z') }}{{ '%(k)s' % d }}{{ '{} {0!r:>8} {x[k]}'.format(1, x=d) }}{{ '{:,.1f} {:+e}'.format(1234.5, 2) }}",
        "filters": "{{ l | sort(reverse=true) | join('-') }}{{ d | dictsort }}{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}"
                   "{{ messages | groupby('role') | map('first') | list }}{{ l | batch(2, 0) | list }}{{ l | slice(2) | list }}{{ s | truncate(5) }}{{ '42.5' | float | round | int }}"
                   "{{ l | unique | list }}{{ l | min }}{{ d | items | list }}{{ s | urlencode }}{{ {'a': s} | xmlattr }}{{ '<b>' | escape + '<i>' }}",
        "json": "{{ {'a': [1, 0.5, none, true, {}, []], 'b': 'é\\u0001'} | tojson(ensure_ascii=true, indent=1, separators=(',', ':'), sort_keys=true) }}",
        "time": "{{ strftime_now('%d %b %Y %H:%M:%S %f %% %z %j') }}",
        "raise": "{{ raise_exception('no ' ~ s) }}",
        "cycler": "{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.current }}{% set j = joiner() %}{{ j() }}{{ j() }}{{ range(5, 0, -2)[::-1] }}{{ dict(a=1) }}",
        "undefined": "{{ missing }}{{ missing.x }}",
        "sandbox": "{{ l.append(1) }}{{ s.__class__ }}",
        "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "endless": "{% for i in range(99999) %}{% for j in range(99999) %}{{ i }}{% endfor %}{% endfor %}",
        "doubling": "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
        "growing": "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "deep": "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
        "chain": "{{ 1" + "+1" * 500 + " }}",
        "open-block": "{% if s %}x",
        "open-string": "{{ 'x }}",
        "open-comment": "{# x",
        "bracket": "{{ (1] }}",
        "huge-number": "{{ 99999999999999999999 }}",
        "huge-width": "{{ '%99999999d' % 1 }}{{ 'x'.ljust(999999999) }}",
        "bad-utf8": b"a\xff{{ s }}",
        "escapes": "{{ '\\x41\\u00e9\\U0001F600\\101\\q\\é' }}",
        "surrogate": "{{ '\\ud800' }}",
        "empty": "",
    }
    for name, text in templates.items():
        write("chat", name, text)


# ---- conversations ----


def messages():
    user, system = {"role": "user", "content": "Hi"}, {"role": "system", "content": "Be kind."}
    answer = {"role": "assistant", "content": "é"}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    files = {
        "array": parts([system, user]),
        "object": parts({"messages": [user], "tools": [tool]}),
        "tools": parts([user], [tool]),
        "turns": parts([system, user, answer, user, answer, user]),
        "no-users": parts([system, system, {"role": "tool", "content": "1"}]),
        "parts": parts([{"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "A"}]),
        "call": parts([user, {"role": "assistant", "content": None, "tool_calls": [tool]},
                       {"role": "tool", "content": "1"}]),
        "mark": b"\xef\xbb\xbf" + parts([user]),
        "answered": parts([user, answer]),
        "no-role": parts([{"content": "Hi"}]),
        "role-wrong": parts([{"role": 5}]),
        "odd-role": parts([{"role": "a\u001b[2J\n"}]),
        "not-objects": parts(["Hi", 1]),
        "none": parts([]),
        "messages-wrong": parts({"messages": "Hi"}),
        "tools-wrong": parts({"messages": [user], "tools": {}}, {}),
        "two": parts([user]) + b"\n[]",
        "scalar": b"1",
        "empty": b"",
    }
    for name, data in files.items():
        write("messages", name, data)


# ---- records, CSV, compressed files ----


def records():
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]}
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "a", "name": "Ann"}, call, {"role": "tool", "content": "7"},
             {"role": "assistant", "content": [{"type": "text", "text": "b"}], "reasoning": "r"}]
    said = lambda *pairs: [{"from": speaker, "value": value} for speaker, value in pairs]
    files = {
        "messages": {"messages": turns, "tools": json.dumps([{"name": "f"}])},
        "messages-wrong": {"messages": [{"role": "user", "content": 7}]},
        "messages-empty": {"messages": []},
        "conversations": {"system": "s", "conversations": said(("human", "a"), ("function_call", '[{"name": "f"}]'), ("observation", "7"), ("gpt", "b"))},
        "conversations-wrong": {"conversations": said(("human", 3))},
        "completion": {"prompt": "a", "completion": "b"},
        "chat-completion": {"prompt": turns[:2], "completion": turns[4:]},
        "instruction": {"instruction": "a", "input": "c", "output": "b"},
        "instruction-bare": {"instruction": "a", "output": "b"},
        "preference": {"prompt": "a", "chosen": "b", "rejected": "c"},
        "preference-chat": {"chosen": turns[:2], "rejected": turns[:2]},
        "choices": {"question": "q", "choices": ["a", "b"], "answer": "B"},
        "choices-wrong": {"choices": ["a", "b"], "answer": 2},
    }
    for name, record in files.items():
        write("dataset", "record-" + name, document(record) + "\n" + document(record))


def csv():
    files = {
        "plain": "text,label\na,1\nb,2\n",
        "quotes": 'text,"a ""b"""\r\n"x\ny","",\r\n"""",2\r\n',
        "tabs": "text\tlabel\na\t1\n",
        "ragged": "a,b\n1\n1,2,3\n,\n",
        "open": 'a,b\n1,"2\n3',
        "after-quote": 'a,b\n"1"x,2\n',
        "same-names": "a,b,a\n1,2,3\n",
        "no-names": ",,\n1,2,3\n",
        "blank": "\n\na\n\n1\n",
        "returns": "a,b\r1,2\r",
        "nul": b"a,b\n1,\x00\n",
        "bad-utf8": b"a,b\n\xff,2\n",
        "mark": "\ufeffa,b\n1,2\n",
        "empty": "",
    }
    for name, data in files.items():
        write("csv", name, data)
        if name in ("plain", "quotes", "ragged", "open"):
            write("dataset", "csv-" + name, data)


def compressed():
    packed = gzip.compress(b"one\ntwo\nthree\n" * 9, mtime=0)
    # zstd --no-check of the texts "one\ntwo\n" and "three\n".
    frame = bytes.fromhex("28b52ffd2008410000") + b"one\ntwo\n"
    last = bytes.fromhex("28b52ffd2006310000") + b"three\n"
    files = {
        "gzip": packed,
        "gzip-two": packed + packed,
        "gzip-zeros": packed + bytes(5),
        "gzip-more": packed + b"more",
        "gzip-cut": packed[:-5],
        "gzip-header": packed[:7],
        "gzip-checksum": packed[:-6] + b"\0" + packed[-5:],
        "gzip-empty": gzip.compress(b"", mtime=0),
        "gzip-large": gzip.compress(bytes(1 << 20), mtime=0),
        "zstd": frame,
        "zstd-two": frame + last,
        "zstd-more": frame + b"more",
        "zstd-cut": frame[:-3],
        "zstd-header": frame[:5],
        "zstd-skipped": bytes.fromhex("502a4d18020000007a7a") + frame,
        "zstd-window": bytes.fromhex("28b52ffd00f8"),
        "zstd-damaged": frame[:6] + b"\xff" + frame[7:],
    }
    for name, data in files.items():
        write("compressed", name, data)


for make in (safetensors, gguf, shards, torch_file, config, tokenizer, dataset, records, csv, compressed, template, special, adapter, hub, headers, run_file,
             checkpoint, chat, messages):
    make()
