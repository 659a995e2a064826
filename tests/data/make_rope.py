#!/usr/bin/env python3
"""Makes rope.json: the frequencies that transformers computes for random RoPE settings, as the bits of f32.

    python -m venv VENV && VENV/bin/pip install -r tests/parity/requirements.txt
    VENV/bin/python tests/data/make_rope.py >tests/data/rope.json

Each line has the keys of a config.json and, in hexadecimal, its frequencies and those of the same theta without scaling.
"""

import json
import random

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def frequencies(head_dim, parameters):
    config = LlamaConfig(hidden_size=4 * head_dim, num_attention_heads=4, head_dim=head_dim,
                         max_position_embeddings=200000, rope_parameters=dict(parameters))
    values = LlamaRotaryEmbedding(config).inv_freq
    return "".join("%08x" % (int(bits) & 0xFFFFFFFF) for bits in values.view(torch.int32))


def settings(draw, kind):
    parameters = dict(rope_type=kind, rope_theta=draw.choice([10000.0, 500000.0, round(draw.uniform(10, 2e6), 2)]))
    if kind != "default":
        parameters["factor"] = draw.choice([8.0, 32.0, round(draw.uniform(1, 40), draw.randint(1, 4))])
    if kind == "llama3":
        parameters["low_freq_factor"] = draw.choice([1.0, 1.1, round(draw.uniform(0.5, 2), 2)])
        parameters["high_freq_factor"] = draw.choice([4.0, 4.3, round(draw.uniform(2.1, 9), 2)])
        parameters["original_max_position_embeddings"] = draw.choice([64, 2048, 8192, draw.randint(32, 9000)])
    return parameters


def main():
    draw = random.Random(1)
    lines = []
    for kind in ["default"] * 10 + ["linear"] * 30 + ["llama3"] * 80:
        head_dim, parameters = draw.choice([2, 10, 16, 32, 64, 128]), settings(draw, kind)
        plain = dict(rope_type="default", rope_theta=parameters["rope_theta"])
        lines.append(json.dumps(dict(head_dim=head_dim, rope_parameters=parameters,
                                     bits=frequencies(head_dim, parameters), plain=frequencies(head_dim, plain))))
    print('{"cases": [\n' + ",\n".join(lines) + "\n]}")


main()
