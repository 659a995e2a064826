#!/usr/bin/env python3
"""Writes known.h: what PyTorch and transformers compute for small inputs, in f64.

Run by hand with the packages of tests/parity/requirements.txt, when an op or a case is added:
    python tests/op/device/make_known.py > tests/op/device/known.h
The inputs are numbers() here and in test_known.c: multiples of 1/16 that f32 and bf16 hold exactly.
"""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig
from peft.tuners.lora.layer import Embedding
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from transformers.activations import ACT2FN
from transformers.masking_utils import sliding_window_causal_mask_function
from transformers.models.bloom.modeling_bloom import bloom_gelu_forward, build_alibi_tensor
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.gemma2.modeling_gemma2 import eager_attention_forward as attend_capped
from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb as rotate_interleaved
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import (
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
    repeat_kv,
)
from transformers.models.ministral3.modeling_ministral3 import get_llama_4_attn_scale
from transformers.pytorch_utils import Conv1D

torch.set_default_dtype(torch.float64)


def numbers(salt, *shape):
    count = math.prod(shape)
    values = [((7 * i * i + 29 * i + 17 * salt) % 61 - 30) / 16 for i in range(count)]
    return torch.tensor(values).reshape(shape)


def known_linear():
    x, w, bias, residual = numbers(1, 3, 5), numbers(2, 4, 5), numbers(3, 4), numbers(4, 3, 4)
    yield "linear", F.linear(x, w, bias) + residual
    module = Conv1D(4, 5)
    module.weight.data, module.bias.data = numbers(5, 5, 4), bias
    x.requires_grad_()
    y = module(x) + residual
    y.backward(numbers(6, 3, 4))
    yield "transposed", y.detach()
    yield "transposed_dx", x.grad
    yield "transposed_dw", module.weight.grad


def known_lora():
    x, a, b, y = numbers(1, 3, 5), numbers(2, 2, 5), numbers(3, 4, 2), numbers(4, 3, 4)
    yield "lora_t", F.linear(x, a)
    yield "lora_y", y + 0.5 * F.linear(F.linear(x, a), b)
    bias = numbers(5, 4)
    yield "lora_biased_y", y + 0.5 * F.linear(F.linear(x, a), b, bias)


def known_tokens():
    """PEFT's adapter of an embedding, and its trained tokens under an embedding and a tied head."""
    ids, dy = torch.tensor([4, 0, 4, 2]), numbers(6, 4, 3)
    layer = torch.nn.Embedding(5, 3)
    layer.weight.data = numbers(1, 5, 3)
    adapted = Embedding(layer, "default", LoraConfig(r=2, lora_alpha=1), r=2, lora_alpha=1)
    adapted.lora_embedding_A["default"].data = numbers(3, 5, 2).T.contiguous()  # b of the op, transposed
    adapted.lora_embedding_B["default"].data = numbers(2, 2, 3).T.contiguous()
    y = adapted(ids)
    y.backward(dy)
    yield "lora_embedding", y.detach()
    yield "lora_embedding_da", adapted.lora_embedding_B["default"].grad.T
    yield "lora_embedding_db", adapted.lora_embedding_A["default"].grad.T
    trained = TrainableTokensLayer(layer, "default")
    trained.update_layer("default", token_indices=[2, 4])
    trained.trainable_tokens_delta["default"].data = numbers(4, 2, 3)
    y = trained(ids)
    y.backward(dy)
    yield "trained_rows", y.detach()
    yield "trained_rows_drows", trained.trainable_tokens_delta["default"].grad
    head = torch.nn.Linear(3, 5, bias=False)
    head.weight = layer.weight
    tied = TrainableTokensLayer(head, "default", tied_adapter=trained)
    h = numbers(5, 4, 3).requires_grad_()
    trained.trainable_tokens_delta["default"].grad = None
    logits = tied(h)
    logits.backward(numbers(7, 4, 5))
    yield "trained_logits", logits.detach()
    yield "trained_logits_drows", trained.trainable_tokens_delta["default"].grad
    yield "trained_logits_dh", h.grad


def known_norms():
    x, w, b = numbers(1, 2, 7), numbers(2, 7), numbers(3, 7)
    yield "layernorm", F.layer_norm(x, (7,), w, b, 1e-5)
    yield "layernorm_mean", x.mean(1)
    yield "layernorm_rstd", 1 / torch.sqrt(x.var(1, unbiased=False) + 1e-5)
    # The Llama module computes in f32 whatever it is given; the formula below is its own, in f64.
    module = LlamaRMSNorm(7, eps=1e-6)
    module.weight.data = w
    rms = F.rms_norm(x, (7,), w, 1e-6)
    assert torch.allclose(module(x.float()).double(), rms, atol=1e-5)
    yield "rmsnorm", rms
    yield "rmsnorm_rstd", torch.rsqrt(x.pow(2).mean(1) + 1e-6)
    module = Gemma2RMSNorm(7, eps=1e-6)
    module.weight.data = w
    x.requires_grad_()
    w = w.clone().requires_grad_()
    rms = F.rms_norm(x, (7,), 1 + w, 1e-6)
    assert torch.allclose(module(x.float()).double(), rms, atol=1e-5)
    rms.backward(numbers(3, 2, 7))
    yield "rmsnorm_offset", rms.detach()
    yield "rmsnorm_offset_dx", x.grad
    yield "rmsnorm_offset_dw", w.grad


def known_rope():
    config = LlamaConfig(hidden_size=12, num_attention_heads=2, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    rotary = LlamaRotaryEmbedding(config)
    x = numbers(1, 3, 2, 6)  # [T, heads, D]
    cos, sin = rotary(x.float(), torch.tensor([[0, 1, 700]]))
    cos, sin = cos.double(), sin.double()
    q, _ = apply_rotary_pos_emb(x.transpose(0, 1)[None], x.transpose(0, 1)[None], cos, sin)
    yield "rope_frequencies", rotary.inv_freq
    yield "rope_table", torch.cat([cos[0, :, :3], sin[0, :, :3]], 1)
    yield "rope", q[0].transpose(0, 1)
    # The first four elements of each head, in pairs of neighbours.
    part = rotate_interleaved(x[None, :, :, :4], sin[:, :, :2], cos[:, :, :2])[0]
    yield "rope_interleaved", torch.cat([part, x[:, :, 4:]], 2)
    # A factor of all rows, and one that grows with the position.
    rotary.attention_scaling = 1.25
    cos, sin = (values.double()[0, :, :3] for values in rotary(x.float(), torch.tensor([[0, 1, 700]])))
    scale = get_llama_4_attn_scale(torch.tensor([[0, 1, 700]]), 0.1, 64)[0, 0]
    yield "rope_table_scaled", torch.cat([cos, sin], 1) * scale.double()


def attend(q, k, v, slopes=None):
    """One sequence; q [nq, Q, D] are its last rows, k and v [nkv, G, D]."""
    nq, heads, size = q.shape
    nkv, groups, _ = k.shape
    k = repeat_kv(k.transpose(0, 1)[None], heads // groups)[0]  # [Q, nkv, D]
    v = repeat_kv(v.transpose(0, 1)[None], heads // groups)[0]
    # All rows of the sequence are queries here, the ones before the last nq being anything, and a plain square causal mask.
    full = torch.cat([torch.zeros(nkv - nq, heads, size), q]).transpose(0, 1)  # [Q, nkv, D]
    bias = torch.full((nkv, nkv), -math.inf).triu(1).expand(heads, nkv, nkv)
    if slopes is not None:
        bias = bias + slopes[:, None, None] * torch.arange(nkv)
    scores = full @ k.transpose(1, 2) / math.sqrt(size) + bias
    out = F.scaled_dot_product_attention(full[None], k[None], v[None], attn_mask=bias[None])[0]
    return out[:, -nq:].transpose(0, 1), torch.logsumexp(scores, 2)[:, -nq:]  # [nq, Q, D], [Q, nq]


def bloom_slopes(heads):
    alibi = build_alibi_tensor(torch.ones(1, 2), heads, torch.float64)  # [heads, 1, 2]: slope times position
    return alibi[:, 0, 1]


def known_attention():
    # Two packed sequences of 4 and 1 rows, six query heads over two key/value heads.
    q, k, v = numbers(1, 5, 6, 2), numbers(2, 5, 2, 2), numbers(3, 5, 2, 2)
    parts = [attend(q[a:b], k[a:b], v[a:b]) for a, b in ((0, 4), (4, 5))]
    yield "attention_grouped", torch.cat([p[0] for p in parts])
    yield "attention_grouped_lse", torch.cat([p[1] for p in parts], 1)
    # Queries after cached keys: 2 after 3 of their own, 1 after 2; ALiBi of three heads, which is no power of two.
    q, k, v, slopes = numbers(4, 3, 3, 2), numbers(5, 8, 3, 2), numbers(6, 8, 3, 2), bloom_slopes(3)
    parts = [attend(q[:2], k[:5], v[:5], slopes), attend(q[2:], k[5:], v[5:], slopes)]
    yield "slopes", slopes
    yield "attention_cached", torch.cat([p[0] for p in parts])
    yield "attention_cached_lse", torch.cat([p[1] for p in parts], 1)


def attend_window(q, k, v, window, cap):
    """One sequence as attend's, with Gemma-2's soft cap and transformers' sliding window."""
    nq, heads, size = q.shape
    nkv, groups, _ = k.shape
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # [1, heads, n, D]
    rows, columns = torch.arange(nkv - nq, nkv)[:, None], torch.arange(nkv)[None]
    seen = sliding_window_causal_mask_function(window)(0, 0, rows, columns)
    mask = torch.zeros(nq, nkv).masked_fill(~seen, -math.inf)
    scores = q @ repeat_kv(k, heads // groups).transpose(2, 3) / math.sqrt(size)
    scores = cap * torch.tanh(scores / cap) + mask
    out = (torch.softmax(scores, 3) @ repeat_kv(v, heads // groups)).transpose(1, 2)
    module = SimpleNamespace(num_key_value_groups=heads // groups, training=False)
    theirs, _ = attend_capped(module, q, k, v, mask, scaling=size**-0.5, softcap=cap)
    assert torch.allclose(out, theirs, atol=1e-6)  # its softmax is in f32
    return out[0], torch.logsumexp(scores, 3)[0]  # [nq, Q, D], [Q, nq]


def known_window():
    # 4 queries after 3 cached keys, and 3 queries; four query heads over two key/value heads.
    q, k, v = (numbers(7, 7, 4, 2), numbers(8, 10, 2, 2), numbers(9, 10, 2, 2))
    for x in (q, k, v):
        x.requires_grad_()
    parts = [attend_window(q[a:b], k[c:d], v[c:d], 3, 1.5) for a, b, c, d in ((0, 4, 0, 7), (4, 7, 7, 10))]
    out = torch.cat([p[0] for p in parts])
    (out * numbers(10, 7, 4, 2)).sum().backward()
    yield "attention_window", out.detach()
    yield "attention_window_lse", torch.cat([p[1] for p in parts], 1).detach()
    yield "attention_window_dq", q.grad
    yield "attention_window_dk", k.grad
    yield "attention_window_dv", v.grad


def known_activations():
    x, up = 3 * numbers(1, 11), numbers(2, 11)
    gelu = F.gelu(x, approximate="tanh")
    assert torch.allclose(bloom_gelu_forward(x), gelu, atol=1e-7)
    yield "gelu_tanh", gelu
    yield "silu", F.silu(x)
    yield "gated_silu", F.silu(x) * up
    for kind in ("gelu", "relu", "relu2", "quick_gelu"):
        x = (3 * numbers(1, 11)).requires_grad_()
        y = ACT2FN[kind](x)
        y.backward(up)
        yield f"activation_{kind}", y.detach()
        yield f"activation_{kind}_dx", x.grad
    gate, up = numbers(1, 3, 10).chunk(2, dim=-1)  # as Phi-3 splits its gate_up
    yield "gated_fused", up * F.silu(gate)


def known_loss():
    h, w = numbers(1, 4, 3).requires_grad_(), numbers(2, 6, 3).requires_grad_()
    labels = torch.tensor([5, -100, 0, 2])
    loss = F.cross_entropy(h @ w.T, labels, ignore_index=-100, reduction="sum")
    (loss * 0.25).backward()
    yield "loss", loss.detach().reshape(1)
    yield "loss_dh", h.grad
    yield "loss_dw", w.grad
    h, w, bias = numbers(1, 4, 3).requires_grad_(), numbers(2, 6, 3).requires_grad_(), numbers(3, 6).requires_grad_()
    logits = F.linear(h, w, bias) * 0.75
    logits = torch.tanh(logits / 3.0) * 3.0
    loss = F.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
    (loss * 0.25).backward()
    yield "capped_loss", loss.detach().reshape(1)
    yield "capped_loss_dh", h.grad
    yield "capped_loss_dw", w.grad
    yield "capped_loss_dbias", bias.grad
    products = numbers(1, 4, 6).requires_grad_()
    logits = torch.tanh(products * 0.75 / 3.0) * 3.0
    losses = F.cross_entropy(logits, labels, ignore_index=-100, reduction="none")
    (losses * numbers(2, 4)).sum().backward()
    yield "cross_entropy", losses.detach()
    yield "cross_entropy_dproducts", products.grad
    yield "cap_logits", torch.tanh(3 * numbers(1, 2, 7) * 0.75 / 3.0) * 3.0


def known_adamw():
    param = torch.nn.Parameter(numbers(1, 5))
    optimiser = torch.optim.AdamW([param], lr=0.01, betas=(0.9, 0.999), eps=1e-3, weight_decay=0.1)
    norms = []
    for step in range(3):
        param.grad = numbers(2 + step, 5) * 10.0**-step  # clipped at first, then not
        norms.append(torch.nn.utils.clip_grad_norm_([param], 1.0) ** 2)
        optimiser.step()
    yield "adamw_squared_norms", torch.stack(norms)
    yield "adamw_param", param.detach()
    yield "adamw_m", optimiser.state[param]["exp_avg"]
    yield "adamw_v", optimiser.state[param]["exp_avg_sq"]


def main():
    print(f"// Written by make_known.py with PyTorch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}.")
    print("#ifndef LOAM_TESTS_OP_KNOWN_H\n#define LOAM_TESTS_OP_KNOWN_H\n")
    print("// clang-format off")
    groups = (known_linear, known_lora, known_tokens, known_norms, known_rope, known_attention, known_window, known_activations, known_loss, known_adamw)
    for group in groups:
        for name, values in group():
            flat = [f"{value:.9g}" for value in values.flatten().tolist()]
            print(f"static const double known_{name}[] = {{ // {list(values.shape)}")
            for i in range(0, len(flat), 8):
                print("    " + ", ".join(flat[i : i + 8]) + ",")
            print("};")
    print("// clang-format on\n\n#endif")


main()
