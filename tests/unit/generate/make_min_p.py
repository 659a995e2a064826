#!/usr/bin/env python3
"""Writes the cases of test_min_p in test_sample.c: which tokens transformers' warpers keep, in the order of its generate."""
import torch
from transformers.generation.logits_process import (MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper,
                                                    TopPLogitsWarper)

LOGITS = [1.0, 3.0, 2.0, -1.0, 2.5]

for temperature, top_k, top_p, min_p in [(1, 0, 1, 0.1), (1, 0, 1, 0.5), (1, 0, 1, 0.6), (1, 0, 1, 0.62), (1, 0, 1, 1), (2, 0, 1, 0.3),
                                         (0.5, 0, 1, 0.3), (1, 3, 1, 0.01), (1, 0, 0.7, 0.01), (1, 0, 0.9, 0.4), (3, 4, 0.95, 0.55)]:
    scores = torch.tensor([LOGITS])
    warpers = [TemperatureLogitsWarper(float(temperature))]
    warpers += [TopKLogitsWarper(top_k)] if top_k else []
    warpers += [TopPLogitsWarper(float(top_p))] if top_p < 1 else []
    for warper in warpers + [MinPLogitsWarper(float(min_p))]:
        scores = warper(None, scores)
    kept = ", ".join(str(int(score > float("-inf"))) for score in scores[0].tolist())
    print(f"        {{{temperature}, {top_k}, {top_p}, {min_p}, {{{kept}}}}},")
