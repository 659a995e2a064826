#!/usr/bin/env python3
"""Makes goldens of adapters that change more than linear modules by A and B: tiny random checkpoints with what PEFT computes.

A golden has the files of make_goldens.py, without a full fine-tuning. GOLDENS lists those in goldens/; --random makes others
by a seed, which scripts/parity_modules.py compares.

    VENV/bin/python tests/parity/make_module_goldens.py [--out DIR] [--random COUNT --seed SEED] [NAME...]
"""

import argparse
import copy
import json
import random
import shutil
import warnings
from pathlib import Path

import make_goldens
import torch
from families import IDS
from make_goldens import BLOOM, IGNORED, LLAMA, SEQUENCES, peft_key, trainables
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

GPT2 = dict(IDS, model_type="gpt2")

# config: of transformers; dtype: of the stored checkpoint; lora: of LoraConfig; save_base: PEFT saves the weights of the
# embedding and the head too, and where `altered` these differ from the checkpoint's.
GOLDENS = {
    "modules-dora": dict(
        config=dict(LLAMA, hidden_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                    intermediate_size=56, vocab_size=67, tie_word_embeddings=True, rms_norm_eps=1e-6,
                    attention_bias=True),
        dtype=torch.bfloat16,
        lora=dict(r=3, lora_alpha=5, use_dora=True, target_modules="all-linear"),
    ),
    # The embedding without its tied head, norms, every bias.
    "modules-embedding": dict(
        config=dict(LLAMA, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                    intermediate_size=32, vocab_size=41, tie_word_embeddings=True, rms_norm_eps=1e-6,
                    attention_bias=True),
        dtype=torch.bfloat16,
        lora=dict(r=3, lora_alpha=5, target_modules=["o_proj", "down_proj"], bias="all",
                  modules_to_save=["embed_tokens", "norm"]),
    ),
    # The embedding with its tied head, learned positions, linears that are stored transposed, biases of adapted ones.
    "modules-tied": dict(
        config=dict(GPT2, n_embd=12, n_layer=2, n_head=3, n_positions=48, vocab_size=37),
        dtype=torch.float32,
        lora=dict(r=2, lora_alpha=3, target_modules=["c_attn"], bias="lora_only", ensure_weight_tying=True,
                  modules_to_save=["lm_head", "wpe", "mlp"]),
    ),
    # The head without its tied embedding, and the norm of the embedding, of which nothing below it is trained.
    "modules-head": dict(
        config=dict(BLOOM, hidden_size=20, n_layer=2, n_head=2, vocab_size=43),
        dtype=torch.float32,
        lora=dict(r=2, lora_alpha=3, target_modules=["dense_h_to_4h"],
                  modules_to_save=["lm_head", "word_embeddings_layernorm", "h.1.self_attention.dense"]),
    ),
    # Adapters on a tied head and on its embedding, each of its own. Its place in the list would give it seed 104, which
    # check_steady refuses: one gradient of the embedding's A is 1.0e-3 in f32 and -2.3e-4 in f16, and moves the loss of
    # step 6 by 1.5e-2.
    "modules-tied-head": dict(
        seed=204,
        config=dict(LLAMA, hidden_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                    intermediate_size=56, vocab_size=67, tie_word_embeddings=True, rms_norm_eps=1e-6),
        dtype=torch.bfloat16,
        lora=dict(r=3, lora_alpha=5, target_modules=["q_proj", "embed_tokens", "lm_head"],
                  rank_pattern={"lm_head": 5}, alpha_pattern={"embed_tokens": 4}),
    ),
    # A head of its own with DoRA, and a bias of B in another.
    "modules-dora-head": dict(
        config=dict(LLAMA, hidden_size=36, num_hidden_layers=1, num_attention_heads=3, num_key_value_heads=3,
                    intermediate_size=50, vocab_size=61, tie_word_embeddings=False, rms_norm_eps=1e-6),
        dtype=torch.float32,
        lora=dict(r=2, lora_alpha=3, use_dora=True, target_modules=["lm_head", "down_proj"]),
    ),
    # The factor of an embedding, a soft-cap of the logits, biases of B.
    "modules-gemma2-bias": dict(
        config=dict(model_type="gemma2", hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=8, intermediate_size=44, vocab_size=59, sliding_window=6,
                    query_pre_attn_scalar=8, final_logit_softcapping=3.0, attn_logit_softcapping=5.0),
        dtype=torch.bfloat16,
        lora=dict(r=3, lora_alpha=4, use_rslora=True, lora_bias=True, target_modules=["o_proj", "up_proj", "lm_head"]),
    ),
    # A norm after the embedding.
    "modules-bloom-embedding": dict(
        config=dict(BLOOM, hidden_size=36, n_layer=2, n_head=3, vocab_size=53),
        dtype=torch.float32,
        lora=dict(r=4, lora_alpha=6, target_modules=["word_embeddings", "dense"]),
    ),
    # Rows of tokens that the head shares, with the factor of an embedding and a soft-cap.
    "modules-tokens-tied": dict(
        config=dict(model_type="gemma2", hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
                    num_key_value_heads=2, head_dim=8, intermediate_size=40, vocab_size=23, sliding_window=6,
                    query_pre_attn_scalar=8, final_logit_softcapping=3.0, attn_logit_softcapping=5.0),
        dtype=torch.bfloat16,
        lora=dict(r=2, lora_alpha=4, target_modules=["o_proj"], trainable_token_indices=[17, 3, 11, 8, 20]),
    ),
    # Other tokens in the embedding than in the head.
    "modules-tokens-apart": dict(
        config=dict(LLAMA, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
                    intermediate_size=40, vocab_size=25, tie_word_embeddings=False, rms_norm_eps=1e-6),
        dtype=torch.float32,
        lora=dict(r=2, lora_alpha=4, target_modules=["v_proj"],
                  trainable_token_indices={"embed_tokens": [4, 9, 16], "lm_head": [9, 2]}),
    ),
    # One adapter of a tied embedding and its head, scaled apart.
    "modules-tied-adapter": dict(
        config=dict(LLAMA, hidden_size=28, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                    intermediate_size=44, vocab_size=47, tie_word_embeddings=True, rms_norm_eps=1e-6),
        dtype=torch.bfloat16,
        lora=dict(r=3, lora_alpha=5, target_modules=["k_proj", "lm_head"], ensure_weight_tying=True,
                  alpha_pattern={"embed_tokens": 2}),
    ),
    # Magnitudes of the columns of an embedding, which has a factor. torch leaves out the gradient of a padding token.
    "modules-dora-embedding": dict(
        config=dict(model_type="gemma2", pad_token_id=None, hidden_size=24, num_hidden_layers=1, num_attention_heads=3,
                    num_key_value_heads=1, head_dim=8, intermediate_size=36, vocab_size=43, sliding_window=6,
                    query_pre_attn_scalar=8, final_logit_softcapping=3.0, attn_logit_softcapping=5.0),
        dtype=torch.bfloat16,
        lora=dict(r=3, lora_alpha=4, use_dora=True, target_modules=["embed_tokens", "down_proj"]),
    ),
    # Weights of the file that differ from the base's, of the embedding and its tied head, which are not adapted.
    "modules-copies-tied": dict(
        config=dict(LLAMA, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, num_key_value_heads=1,
                    intermediate_size=36, vocab_size=31, tie_word_embeddings=True, rms_norm_eps=1e-6),
        dtype=torch.bfloat16,
        lora=dict(r=2, lora_alpha=3, target_modules=["q_proj", "up_proj"]),
        save_base=True, altered=True,
    ),
    # The same below an adapter with DoRA: its magnitude is in the file twice.
    "modules-copies-dora": dict(
        config=dict(LLAMA, hidden_size=28, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                    intermediate_size=40, vocab_size=37, tie_word_embeddings=True, rms_norm_eps=1e-6),
        dtype=torch.float32,
        lora=dict(r=2, lora_alpha=3, use_dora=True, target_modules=["lm_head", "k_proj"], ensure_weight_tying=True),
        save_base=True, altered=True,
    ),
    # The same below rows of trained tokens, and of a head of its own.
    "modules-copies-tokens": dict(
        config=dict(LLAMA, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                    intermediate_size=40, vocab_size=29, tie_word_embeddings=False, rms_norm_eps=1e-6),
        dtype=torch.float32,
        lora=dict(r=2, lora_alpha=4, target_modules=["v_proj"], trainable_token_indices=[4, 9, 16]),
        save_base=True, altered=True,
    ),
}


def with_adapter(model, lora, seed):
    """The base with an adapter whose tensors are random and whose gradients are not zero by construction.

    PEFT changes the lists of its settings, so it gets a copy.
    """
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **copy.deepcopy(lora))
        adapted = get_peft_model(copy.deepcopy(model), config)
    with torch.no_grad():
        for name, parameter in trainables(adapted).items():
            noise = torch.randn(parameter.shape)
            if name.endswith(".bias"):
                parameter.copy_(noise * 0.1)
            elif "lora_A" in name or "lora_B" in name:
                parameter.copy_(noise * (0.1 if "lora_B" in name else parameter.shape[1] ** -0.5))
            elif "lora_embedding" in name:
                parameter.copy_(noise * 0.3)
            else:
                parameter.mul_(1 + 0.1 * noise)
    return adapted.eval()


def alter(model, lora, seed):
    """The model with another embedding and head, of which PEFT saves those that are adapted, or where none is, both."""
    generator = torch.Generator().manual_seed(seed)
    altered = copy.deepcopy(model)
    ends = dict(embed_tokens=altered.get_input_embeddings(), lm_head=altered.get_output_embeddings())
    targets = [name for name in ends if name in lora["target_modules"]]
    weights = {id(ends[name].weight): ends[name].weight for name in targets or ends}
    with torch.no_grad():
        for weight in weights.values():
            weight.mul_(1 + 0.2 * torch.randn(weight.shape, generator=generator))
    return altered


def check_altered(model, adapted, directory):
    """PEFT must read the altered weights from the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = PeftModel.from_pretrained(copy.deepcopy(model), directory).eval()
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        assert torch.allclose(loaded(input_ids=ids).logits, adapted(input_ids=ids).logits, atol=1e-5)


# What f16 rounds away of a gradient in the test's small models, beside the root mean square of the tensor.
F16_NOISE = 3e-3


def with_noise(model, seed):
    """The model with noise in each gradient that is not zero, as large as what f16 rounds away."""
    generator = torch.Generator().manual_seed(seed)

    def add_noise(parameter):
        grad = parameter.grad
        noise = torch.randn(grad.shape, generator=generator) * F16_NOISE * grad.square().mean().sqrt()
        grad.add_(noise * (grad != 0))

    for parameter in trainables(model).values():
        parameter.register_post_accumulate_grad_hook(add_noise)
    return model


def f16_bounds(logits, layers, batches):
    """How far the test lets the loss of each step be off in f16 (bounds_for, loss_bound in run/common_compare.c)."""
    way = 0.125 * 3 * 0.425 / 256 * (13 * layers + 5) ** 0.5
    counts = torch.tensor([sum(int((labels[1:] != IGNORED).sum()) for _, labels in batch) for batch in batches])
    return 2 * way * logits.square().mean().sqrt() * 2**0.5 / counts.sqrt()


def check_steady(name, make_adapted, batches, settings, losses, bounds):
    """Rounding of gradients in f16 must not change a loss of the run by as much as the test allows.

    AdamW moves a value whose first gradient is nearly zero by as much as any other, in the direction of its sign. Where
    one value moves a loss alone, as in the row of a rare token, the loss then depends on the rounding of one number.
    """
    for seed in range(16):
        other, _ = make_goldens.run_steps(with_noise(make_adapted(), seed), batches, settings)
        worst = float(((other - losses).abs() / bounds).max())
        assert worst < 1, f"{name}: rounding in f16 changes a loss by {worst:.2f} of what the test allows: take another seed"


def draw_golden(draw):
    heads = draw.choice([2, 3, 4])
    if draw.random() < 0.3:
        config = dict(BLOOM, hidden_size=heads * draw.choice([4, 8, 10]), n_layer=draw.randint(1, 3), n_head=heads,
                      vocab_size=draw.randint(40, 90))
    else:
        config = dict(LLAMA, hidden_size=heads * draw.choice([8, 11, 14]), num_hidden_layers=draw.randint(1, 3),
                      num_attention_heads=heads, num_key_value_heads=draw.choice([1, heads]),
                      head_dim=draw.choice([6, 8, 12]), intermediate_size=draw.randint(20, 70),
                      vocab_size=draw.randint(40, 90), tie_word_embeddings=draw.random() < 0.5, rms_norm_eps=1e-5,
                      attention_bias=draw.random() < 0.5, mlp_bias=draw.random() < 0.3)
    lora = dict(r=draw.randint(1, 6), lora_alpha=draw.choice([1, 4, 8, 11]), target_modules=draw_targets(draw, config),
                use_dora=draw.random() < 0.4, **draw_replaced(draw, config))
    if "modules_to_save" not in lora:
        lora.update(draw_beyond(draw, config, lora))
    dtype = draw.choice([torch.float32, torch.bfloat16])
    # PEFT saves the weights of the embedding and the head too, or not.
    save_base = draw.random() < 0.5
    return dict(config=config, dtype=dtype, lora=lora, save_base=save_base, altered=save_base and draw.random() < 0.5)


def draw_replaced(draw, config):
    """Modules that are trained as a whole, and biases.

    PEFT ties no embedding of BLOOM again when it reads an adapter, because it knows embeddings by the name embed_tokens.
    """
    if draw.random() < 0.5:
        return {}
    bloom = config["model_type"] == "bloom"
    names = (["word_embeddings", "word_embeddings_layernorm", "input_layernorm", "ln_f", "lm_head"] if bloom else
             ["embed_tokens", "model.norm", "input_layernorm", "norm", "lm_head", "model.embed_tokens"])
    if config.get("n_layer", config.get("num_hidden_layers")) > 1:
        names.append("h.0.mlp" if bloom else "layers.0.mlp")
    saved = draw.sample(names, draw.randint(0, 3))
    return dict(bias=draw.choice(["none", "all", "lora_only"]),
                ensure_weight_tying=not bloom and draw.random() < 0.5,
                **({"modules_to_save": saved} if saved else {}))


def draw_targets(draw, config):
    if draw.random() < 0.3:
        return "all-linear"
    if config["model_type"] == "bloom":
        names = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]
    else:
        names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return sorted(draw.sample(names, draw.randint(1, 3)))


def draw_beyond(draw, config, lora):
    """Settings of modules beyond the linears of the layers, and of B's bias."""
    settings = {}
    embedding = "word_embeddings" if config["model_type"] == "bloom" else "embed_tokens"
    if lora["target_modules"] != "all-linear":
        beyond = [name for name in ("lm_head", embedding) if draw.random() < 0.4]
        settings["target_modules"] = sorted(lora["target_modules"] + beyond)
    ends = {"lm_head", embedding} & set(settings.get("target_modules", []))
    bloom = config["model_type"] == "bloom"
    if ends:  # PEFT ties both
        settings["ensure_weight_tying"] = not bloom and draw.random() < 0.5
        if settings["ensure_weight_tying"] and config["tie_word_embeddings"]:
            return settings
    if not lora["use_dora"] and embedding not in settings.get("target_modules", []) and draw.random() < 0.4:
        settings["lora_bias"] = True
    if not ends and draw.random() < 0.4:
        lists = [draw.sample(range(config["vocab_size"]), draw.randint(1, 6)) for _ in range(2)]
        settings["trainable_token_indices"] = draw.choice([
            lists[0], {embedding: lists[0]}, {"lm_head": lists[0]}, {embedding: lists[0], "lm_head": lists[0]},
            {embedding: lists[0], "lm_head": lists[1]}])
        if len(settings["trainable_token_indices"]) == 2 and isinstance(settings["trainable_token_indices"], dict):
            settings["ensure_weight_tying"] = False  # PEFT refuses to tie different tokens
    return settings


def make_golden(name, golden, seed, directory, steady):
    generator = torch.Generator().manual_seed(seed)
    config = AutoConfig.for_model(**golden["config"])
    model = AutoModelForCausalLM.from_config(config).float()
    make_goldens.randomise(model, generator)
    make_goldens.store_model(model, directory, dict(dtype=golden["dtype"]), config.model_type)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    model.config.name_or_path = name
    batches = make_goldens.make_batches(config.vocab_size, [7, 12, 5], generator)
    save_file(make_goldens.pack(batches), directory / "batches.safetensors", metadata={"format": "pt"})

    changed = alter(model, golden["lora"], seed + 200) if golden.get("altered") else model
    make_adapted = lambda: with_adapter(changed, golden["lora"], seed + 100)
    make_goldens.store_adapter(make_adapted(), directory / "adapter", name, golden.get("save_base", False))
    if golden.get("altered"):
        check_altered(model, make_adapted(), directory / "adapter")
    settings = make_goldens.settings_for(make_adapted, batches, 3e-3)
    adapted = make_adapted()
    logits, loss = make_goldens.forward(adapted, batches[0])
    loss.backward()
    losses, norms = make_goldens.run_steps(make_adapted(), batches, settings)
    if steady:
        bounds = f16_bounds(logits.detach(), config.num_hidden_layers, batches)
        check_steady(name, make_adapted, batches, settings, losses, bounds)
    expected = {"adapter.logits": logits.detach(), "adapter.loss": loss.detach()[None], "adapter.losses": losses,
                "adapter.grad_norms": norms}
    saved = load_file(directory / "adapter" / "adapter_model.safetensors")
    for parameter_name, parameter in trainables(adapted).items():
        key = stored_key(parameter_name)
        assert key in saved and saved[key].shape == parameter.shape, key
        expected[f"adapter.grad.{key}"] = parameter.grad
    assert all(torch.isfinite(tensor).all() for tensor in expected.values())
    save_file({n: t.contiguous() for n, t in expected.items()}, directory / "expected.safetensors",
              metadata={"format": "pt"})
    manifest = {"name": name, "seed": seed, "sequences": SEQUENCES, "adapters": {"adapter": settings}}
    (directory / "golden.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    print(f"{name}: {golden['config']['model_type']} {golden['lora']} loss {float(loss.detach()):.4f}")


def stored_key(name):
    """The name in adapter_model.safetensors of a trained parameter."""
    if "lora_magnitude_vector" in name:
        return name.replace(".default.weight", "")
    return peft_key(name.replace(".modules_to_save.default", "")).removesuffix(".default")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="goldens to make (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "goldens")
    parser.add_argument("--random", type=int, default=0, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    goldens = {name: (golden, golden.get("seed", 100 + number)) for number, (name, golden) in enumerate(GOLDENS.items())}
    if arguments.random > 0:
        goldens = {f"random-{arguments.seed + i}": (draw_golden(random.Random(arguments.seed + i)), arguments.seed + i)
                   for i in range(arguments.random)}
    for name, (golden, seed) in goldens.items():
        if arguments.names and name not in arguments.names:
            continue
        directory = arguments.out / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        make_golden(name, golden, seed, directory, steady=arguments.random == 0)


if __name__ == "__main__":
    main()
