"""Tiny configurations of the families: the goldens that make_goldens.py makes beside BLOOM's and Llama's.

Each family has two sizes or more. Together they show every mechanism: grouped heads, odd head counts, tied and untied heads,
biases, windows shorter than the sequences, every type of RoPE, partial RoPE, soft-caps, factors, parallel branches.

config: of transformers; store: how the checkpoint is written (`replace` changes keys of config.json, None removes one);
lora: LoraConfig of the main adapter; defaults: a second adapter on PEFT's default targets; rates: learning rates, where the
usual ones hardly change the losses; lengths: of the first batch's sequences; attention: transformers'
implementation; salt: changes the seed; greedy: tokens of a prompt and new tokens, for
each prompt.
"""

import torch

F32 = dict(dtype=torch.float32)
BF16 = dict(dtype=torch.bfloat16)
F16 = dict(dtype=torch.float16)
LORA = dict(r=2, lora_alpha=4)
FAST = (6e-3, 2e-2)
GREEDY = [(3, 14), (11, 9)]  # beyond a window of 4 to 6 from within and from outside

# No padding token: torch leaves out the gradient of its row of the embedding.
IDS = dict(bos_token_id=1, eos_token_id=2, pad_token_id=None)


def rope(kind="default", theta=100.0, **settings):
    return dict(rope_type=kind, rope_theta=theta, **settings)


def yarn(factor=4.0, original=8, **settings):
    return rope("yarn", factor=factor, original_max_position_embeddings=original, **settings)


def llama3():
    return rope("llama3", 1000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=32)


def longrope(count, **settings):
    return rope("longrope", short_factor=[1.0 + 0.25 * i for i in range(count)],
                long_factor=[1.5 + 0.75 * i for i in range(count)], original_max_position_embeddings=10, **settings)


def decoder(model_type, hidden, heads, groups, inner, layers=2, vocabulary=37, **settings):
    """The keys that most families share."""
    return dict(dict(IDS, model_type=model_type, hidden_size=hidden, num_attention_heads=heads,
                     num_key_value_heads=groups, intermediate_size=inner, num_hidden_layers=layers,
                     vocab_size=vocabulary, max_position_embeddings=64, rope_parameters=rope()), **settings)


def golden(config, store=BF16, lora=LORA, lengths=(7, 12, 5), greedy=GREEDY, **settings):
    return dict(config=config, store=store, lora=lora, lengths=list(lengths), greedy=greedy, **settings)


# Dynamic scaling and LongRoPE choose by the length of the whole sequence, and a cache keeps the keys of shorter ones:
# their generated sequences stay on one side of the border.
WITHIN_DYNAMIC = [(3, 6), (5, 5)]
BESIDE_LONGROPE = [(3, 7), (12, 9)]

FAMILIES = {
    "qwen2-windows": golden(
        decoder("qwen2", 18, 3, 1, 20, layers=3, tie_word_embeddings=False, use_sliding_window=True, sliding_window=5,
                max_window_layers=1),
        defaults=True,
    ),
    "qwen2-tied-yarn": golden(
        decoder("qwen2", 24, 4, 2, 22, tie_word_embeddings=True, rope_parameters=yarn()),
        lengths=[3, 14, 8],
    ),
    "qwen3-tied": golden(
        decoder("qwen3", 18, 3, 3, 28, head_dim=12, tie_word_embeddings=True, rms_norm_eps=1e-5),
    ),
    "qwen3-windows-dynamic": golden(
        decoder("qwen3", 15, 5, 1, 20, layers=3, head_dim=6, tie_word_embeddings=False, attention_bias=True,
                use_sliding_window=True, sliding_window=6, max_window_layers=2, max_position_embeddings=10,
                rope_parameters=rope("dynamic", factor=3.0)),
        store=dict(BF16, replace=dict(layer_types=None)), lengths=[7, 15, 11], greedy=WITHIN_DYNAMIC,
    ),
    "mistral-window": golden(
        decoder("mistral", 18, 3, 1, 28, head_dim=10, tie_word_embeddings=False, sliding_window=5),
        defaults=True,
    ),
    "mistral-tied": golden(
        decoder("mistral", 24, 4, 2, 22, tie_word_embeddings=True, sliding_window=None, rope_parameters=llama3()),
        store=F32, lengths=[19, 4, 11],
    ),
    "gemma-shared-keys": golden(
        decoder("gemma", 18, 3, 1, 28, head_dim=12, tie_word_embeddings=True),
        rates=FAST, defaults=True,
    ),
    "gemma-linear": golden(
        decoder("gemma", 20, 2, 2, 32, head_dim=16, tie_word_embeddings=True, attention_bias=True,
                rope_parameters=rope("linear", factor=2.0)),
        store=F32, lengths=[3, 14, 8],
    ),
    "gemma2-soft-caps": golden(
        decoder("gemma2", 18, 3, 1, 28, head_dim=12, sliding_window=4, query_pre_attn_scalar=5,
                attn_logit_softcapping=1.5, final_logit_softcapping=3.0),
        rates=FAST, defaults=True,
    ),
    "gemma2-layer-types": golden(
        decoder("gemma2", 16, 4, 2, 20, layers=3, head_dim=6, sliding_window=6, query_pre_attn_scalar=12,
                attn_logit_softcapping=None, final_logit_softcapping=4.0, attention_bias=True,
                rope_parameters=yarn(2.0),
                layer_types=["full_attention", "sliding_attention", "sliding_attention"]),
        salt="1", lengths=[3, 14, 8],
    ),
    "gemma3-two-ropes": golden(
        decoder("gemma3_text", 18, 3, 1, 28, layers=3, head_dim=8, sliding_window=4, query_pre_attn_scalar=7,
                layer_types=["sliding_attention", "sliding_attention", "full_attention"],
                rope_parameters=dict(full_attention=rope("linear", 1000.0, factor=4.0),
                                     sliding_attention=rope(theta=50.0))),
        rates=FAST, defaults=True,
    ),
    # As the checkpoints of the hub have it.
    "gemma3-old-keys": golden(
        decoder("gemma3_text", 20, 4, 2, 22, head_dim=8, sliding_window=6, query_pre_attn_scalar=12,
                final_logit_softcapping=4.0, attention_bias=True,
                layer_types=["sliding_attention", "full_attention"],
                rope_parameters=dict(full_attention=rope("linear", 2000.0, factor=2.0),
                                     sliding_attention=rope(theta=70.0))),
        store=dict(BF16, replace=dict(
            rope_parameters=None, rope_theta=2000.0, rope_local_base_freq=70.0,
            rope_scaling=dict(rope_type="linear", factor=2.0), layer_types=None, sliding_window_pattern=2)),
        lengths=[3, 14, 8],
    ),
    "ministral-windows": golden(
        decoder("ministral", 18, 3, 1, 28, head_dim=10, tie_word_embeddings=False, sliding_window=5,
                layer_types=["sliding_attention", "full_attention"]),
    ),
    "ministral-tied-yarn": golden(
        decoder("ministral", 16, 4, 2, 20, layers=3, head_dim=6, tie_word_embeddings=True, sliding_window=6,
                rope_parameters=yarn(beta_fast=8.0, beta_slow=2.0)),
        lengths=[3, 14, 8],
    ),
    "ministral3-scaled-queries": golden(
        decoder("ministral3", 18, 3, 1, 28, head_dim=10, tie_word_embeddings=False, max_position_embeddings=24,
                rope_parameters=yarn(6.0, 4, type="yarn", beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
                                     llama_4_scaling_beta=0.4)),
    ),
    "ministral3-tied": golden(
        decoder("ministral3", 20, 4, 2, 22, head_dim=8, tie_word_embeddings=True, max_position_embeddings=32,
                sliding_window=6, rope_parameters=yarn(4.0, 8, llama_4_scaling_beta=0.7)),
        lengths=[3, 18, 8],
    ),
    "phi3-grouped": golden(
        decoder("phi3", 24, 3, 1, 28, tie_word_embeddings=False, original_max_position_embeddings=64, sliding_window=5,
                rope_parameters=rope(partial_rotary_factor=1.0)),
    ),
    "phi3-longrope": golden(
        decoder("phi3", 16, 2, 1, 24, tie_word_embeddings=True, original_max_position_embeddings=10,
                max_position_embeddings=40, rope_parameters=longrope(3, partial_rotary_factor=0.75)),
        store=dict(BF16, replace=dict(
            rope_parameters=None, rope_theta=100.0, partial_rotary_factor=0.75,
            rope_scaling=dict(type="longrope", short_factor=[1.0, 1.25, 1.5], long_factor=[1.5, 2.25, 3.0]))),
        lengths=[7, 17, 10], greedy=BESIDE_LONGROPE,
    ),
    "phi-3-heads": golden(
        decoder("phi", 24, 3, 3, 28, tie_word_embeddings=False, rope_parameters=rope(partial_rotary_factor=0.5)),
        store=F16, defaults=True,
    ),
    "phi-grouped-linear": golden(
        decoder("phi", 16, 2, 1, 24, tie_word_embeddings=False, layer_norm_eps=1e-3,
                rope_parameters=rope("linear", factor=2.0, partial_rotary_factor=0.5)),
        lengths=[3, 14, 8],
    ),
    "gpt2-3-heads": golden(
        dict(IDS, model_type="gpt2", n_embd=18, n_layer=2, n_head=3, n_positions=32, vocab_size=37),
        lora=dict(LORA, fan_in_fan_out=True), defaults=True,
    ),
    "gpt2-untied": golden(
        dict(IDS, model_type="gpt2", n_embd=20, n_layer=2, n_head=2, n_inner=28, n_positions=40, vocab_size=41,
             activation_function="relu", layer_norm_epsilon=1e-3, tie_word_embeddings=False),
        store=BF16, lora=dict(LORA, fan_in_fan_out=True), lengths=[3, 14, 8],
    ),
    "gpt-neox-parallel": golden(
        dict(IDS, model_type="gpt_neox", hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
             intermediate_size=28, vocab_size=37, max_position_embeddings=64, use_parallel_residual=True,
             rope_parameters=rope(partial_rotary_factor=0.5)),
        store=F16, defaults=True,
    ),
    "gpt-neox-serial": golden(
        dict(IDS, model_type="gpt_neox", hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
             intermediate_size=24, vocab_size=41, max_position_embeddings=64, use_parallel_residual=False,
             hidden_act="gelu_new", tie_word_embeddings=True, rope_parameters=rope(theta=70.0, partial_rotary_factor=0.25)),
        store=dict(BF16, replace=dict(rope_parameters=None, rotary_pct=0.25, rotary_emb_base=70)),
        lengths=[3, 14, 8],
    ),
    "gpt-neox-dynamic": golden(
        dict(IDS, model_type="gpt_neox", hidden_size=20, num_hidden_layers=2, num_attention_heads=5,
             intermediate_size=28, vocab_size=41, max_position_embeddings=10, attention_bias=False,
             rope_parameters=rope("dynamic", factor=2.0, partial_rotary_factor=1.0)),
        lengths=[7, 15, 11], greedy=WITHIN_DYNAMIC,
    ),
    "gptj-3-heads": golden(
        dict(IDS, model_type="gptj", n_embd=24, n_layer=2, n_head=3, n_inner=28, n_positions=32, rotary_dim=4,
             vocab_size=37),
        store=F16, rates=FAST, defaults=True,
    ),
    "gptj-whole-heads": golden(
        dict(IDS, model_type="gptj", n_embd=20, n_layer=2, n_head=2, n_positions=40, rotary_dim=10, vocab_size=41,
             activation_function="gelu", layer_norm_epsilon=1e-3),
        lengths=[3, 14, 8],
    ),
    "opt-3-heads": golden(
        dict(IDS, model_type="opt", hidden_size=24, num_hidden_layers=2, num_attention_heads=3, ffn_dim=28,
             max_position_embeddings=40, vocab_size=37),
        store=F16, defaults=True,
    ),
    "opt-without-biases": golden(
        dict(IDS, model_type="opt", hidden_size=20, num_hidden_layers=2, num_attention_heads=2, ffn_dim=28,
             max_position_embeddings=40, vocab_size=41, activation_function="gelu", enable_bias=False,
             tie_word_embeddings=False),
        store=F32, lengths=[3, 14, 8],
    ),
    "falcon-one-key": golden(
        dict(IDS, model_type="falcon", hidden_size=24, num_hidden_layers=2, num_attention_heads=3, ffn_hidden_size=28,
             vocab_size=37, max_position_embeddings=64, multi_query=True, parallel_attn=True, bias=False,
             rope_parameters=rope()),
        defaults=True,
    ),
    "falcon-one-key-biases": golden(
        dict(IDS, model_type="falcon", hidden_size=20, num_hidden_layers=2, num_attention_heads=5, ffn_hidden_size=28,
             vocab_size=41, max_position_embeddings=64, multi_query=True, parallel_attn=True, bias=True,
             tie_word_embeddings=False, rope_parameters=rope("linear", factor=2.0)),
        lengths=[3, 14, 8],
    ),
    # transformers rounds slope times position to bf16, which is exact for powers of two. Its eager attention adds the
    # slopes twice.
    "falcon-alibi-4-heads": golden(
        dict(IDS, model_type="falcon", hidden_size=24, num_hidden_layers=2, num_attention_heads=4, ffn_hidden_size=28,
             vocab_size=37, multi_query=False, parallel_attn=False, alibi=True, bias=True),
        attention="sdpa",
    ),
    "falcon-alibi-8-heads": golden(
        dict(IDS, model_type="falcon", hidden_size=24, num_hidden_layers=2, num_attention_heads=8, ffn_hidden_size=20,
             vocab_size=41, multi_query=False, parallel_attn=False, alibi=True, bias=False),
        lengths=[3, 14, 8],
        attention="sdpa",
    ),
    "falcon-groups": golden(
        dict(IDS, model_type="falcon", hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_kv_heads=2,
             ffn_hidden_size=28, vocab_size=37, max_position_embeddings=64, new_decoder_architecture=True, bias=False,
             rope_parameters=rope()),
        defaults=True,
    ),
    "falcon-groups-biases": golden(
        dict(IDS, model_type="falcon", hidden_size=20, num_hidden_layers=2, num_attention_heads=5, num_kv_heads=1,
             ffn_hidden_size=20, vocab_size=41, max_position_embeddings=64, new_decoder_architecture=True, bias=True,
             tie_word_embeddings=False, rope_parameters=llama3()),
        lengths=[3, 14, 8],
    ),
    "mpt-4-heads": golden(
        dict(IDS, model_type="mpt", d_model=16, n_layers=2, n_heads=4, max_seq_len=32, vocab_size=37),
        defaults=True,
    ),
    "mpt-3-heads": golden(
        dict(IDS, model_type="mpt", d_model=18, n_layers=2, n_heads=3, max_seq_len=40, vocab_size=41,
             layer_norm_epsilon=1e-3),
        lengths=[3, 14, 8],
    ),
    "stablelm-serial": golden(
        decoder("stablelm", 24, 3, 3, 28, tie_word_embeddings=False, use_qkv_bias=True,
                rope_parameters=rope(partial_rotary_factor=0.5)),
        defaults=True,
    ),
    "stablelm-parallel": golden(
        decoder("stablelm", 16, 2, 1, 24, tie_word_embeddings=True, use_parallel_residual=True, layer_norm_eps=1e-3,
                rope_parameters=dict(llama3(), partial_rotary_factor=0.5)),
        store=dict(BF16, replace=dict(
            rope_parameters=None, rope_theta=1000.0, partial_rotary_factor=0.5,
            rope_scaling={k: v for k, v in llama3().items() if k != "rope_theta"})),
        lengths=[3, 14, 8],
    ),
    "starcoder2-window": golden(
        decoder("starcoder2", 24, 3, 1, 28, tie_word_embeddings=True, sliding_window=5),
    ),
    "starcoder2-untied": golden(
        decoder("starcoder2", 24, 4, 2, 22, tie_word_embeddings=False, use_bias=False, sliding_window=None,
                norm_epsilon=1e-3, rope_parameters=yarn()),
        lengths=[3, 14, 8],
    ),
    "olmo2-3-heads": golden(
        decoder("olmo2", 24, 3, 1, 28, tie_word_embeddings=False),
    ),
    "olmo2-tied": golden(
        decoder("olmo2", 24, 4, 2, 22, tie_word_embeddings=True, attention_bias=True, rms_norm_eps=1e-6,
                rope_parameters=llama3()),
        lengths=[3, 14, 8],
    ),
    "olmo3-windows": golden(
        decoder("olmo3", 24, 3, 1, 28, tie_word_embeddings=False, sliding_window=5,
                layer_types=["sliding_attention", "full_attention"],
                rope_parameters=dict(full_attention=yarn(), sliding_attention=rope())),
    ),
    # As the checkpoints of the hub have it: the scaling is of the layers without a window.
    "olmo3-old-keys": golden(
        decoder("olmo3", 16, 2, 2, 24, layers=4, tie_word_embeddings=True, attention_bias=True, sliding_window=6,
                rope_parameters=dict(full_attention=yarn(attention_factor=1.2), sliding_attention=rope())),
        store=dict(BF16, replace=dict(
            rope_parameters=None, rope_theta=100.0, layer_types=None,
            rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=8, attention_factor=1.2))),
        salt="2", lengths=[3, 14, 8],
    ),
    "granite-factors": golden(
        decoder("granite", 24, 3, 1, 28, tie_word_embeddings=True, embedding_multiplier=0.6, logits_scaling=1.5,
                residual_multiplier=0.8, attention_multiplier=0.2),
    ),
    "granite-longrope": golden(
        decoder("granite", 16, 2, 1, 24, tie_word_embeddings=False, embedding_multiplier=0.7, logits_scaling=0.4,
                residual_multiplier=1.2, attention_multiplier=0.5, attention_bias=True, mlp_bias=True,
                rope_parameters=longrope(4, factor=4.0)),
        lengths=[7, 17, 10], greedy=BESIDE_LONGROPE,
    ),
    "smollm3-some-ropes": golden(
        decoder("smollm3", 24, 3, 1, 28, tie_word_embeddings=True, no_rope_layers=[1, 0]),
    ),
    "smollm3-windows": golden(
        decoder("smollm3", 16, 4, 2, 20, layers=3, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
                no_rope_layer_interval=2, use_sliding_window=True, sliding_window=6, rope_parameters=yarn()),
        store=dict(BF16, replace=dict(no_rope_layers=None, layer_types=None)), lengths=[3, 14, 8],
    ),
    "cohere-3-heads": golden(
        decoder("cohere", 24, 3, 1, 28, tie_word_embeddings=True, logit_scale=0.5),
        store=F16,
    ),
    "cohere-linear": golden(
        decoder("cohere", 24, 4, 2, 22, tie_word_embeddings=False, logit_scale=1.5, attention_bias=True,
                layer_norm_eps=1e-3, rope_parameters=rope("linear", factor=2.0)),
        lengths=[3, 14, 8],
    ),
    "cohere2-windows": golden(
        decoder("cohere2", 24, 3, 1, 28, tie_word_embeddings=True, logit_scale=0.5, sliding_window=5,
                layer_types=["sliding_attention", "full_attention"]),
        store=F16,
    ),
    "cohere2-pattern": golden(
        decoder("cohere2", 16, 2, 2, 24, layers=4, tie_word_embeddings=False, logit_scale=1.5, attention_bias=True,
                sliding_window=6, rope_parameters=rope("linear", factor=2.0)),
        store=dict(BF16, replace=dict(layer_types=None, sliding_window_pattern=4)), lengths=[3, 14, 8],
    ),
    "glm4-3-heads": golden(
        decoder("glm4", 18, 3, 1, 28, head_dim=8, tie_word_embeddings=False, attention_bias=True,
                rope_parameters=rope(partial_rotary_factor=0.5)),
    ),
    "glm4-tied": golden(
        decoder("glm4", 20, 4, 2, 22, head_dim=12, tie_word_embeddings=True, attention_bias=False, rms_norm_eps=1e-6,
                rope_parameters=dict(llama3(), partial_rotary_factor=0.5)),
        lengths=[3, 14, 8],
    ),
    "arcee-3-heads": golden(
        decoder("arcee", 24, 3, 1, 28, tie_word_embeddings=False),
    ),
    "arcee-tied": golden(
        decoder("arcee", 20, 2, 2, 26, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-6,
                rope_parameters=yarn()),
        lengths=[3, 14, 8],
    ),
}
