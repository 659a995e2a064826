"""Configurations of models that loam init makes for comparisons, as their config.json has them."""

BLOOM = dict(architectures=["BloomForCausalLM"], model_type="bloom", n_layer=24, n_head=16, vocab_size=250880,
             layer_norm_epsilon=1e-5, initializer_range=0.02, apply_residual_connection_post_layernorm=False,
             hidden_dropout=0.0, attention_dropout=0.0, bos_token_id=1, eos_token_id=2, pad_token_id=3)
LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=2048, intermediate_size=5632,
             num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4, vocab_size=32000, hidden_act="silu",
             max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=10000.0, initializer_range=0.02,
             tie_word_embeddings=False, attention_bias=False, mlp_bias=False, bos_token_id=1, eos_token_id=2)
QWEN3 = dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=1024, intermediate_size=3072,
             num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128, vocab_size=151936,
             hidden_act="silu", max_position_embeddings=40960, rms_norm_eps=1e-6, rope_theta=1000000.0,
             initializer_range=0.02, tie_word_embeddings=True, attention_bias=False, use_sliding_window=False,
             bos_token_id=50256, eos_token_id=50256)
GEMMA3 = dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", hidden_size=640, intermediate_size=2048,
              num_hidden_layers=18, num_attention_heads=4, num_key_value_heads=1, head_dim=256, vocab_size=262144,
              hidden_activation="gelu_pytorch_tanh", max_position_embeddings=32768, rms_norm_eps=1e-6,
              rope_theta=1000000.0, rope_local_base_freq=10000.0, query_pre_attn_scalar=256, sliding_window=512,
              layer_types=["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(18)],
              initializer_range=0.02, tie_word_embeddings=True, attention_bias=False, bos_token_id=50256,
              eos_token_id=50256)
GPT2 = dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", n_embd=768, n_layer=12, n_head=12, n_positions=1024,
            vocab_size=50257, activation_function="gelu_new", layer_norm_epsilon=1e-5, initializer_range=0.02,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=50256, eos_token_id=50256)
