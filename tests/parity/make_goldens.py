#!/usr/bin/env python3
"""Makes the goldens of the parity test: tiny random checkpoints with what PyTorch, transformers and PEFT compute on them.

Each directory under goldens/ holds a checkpoint, one or two PEFT adapters, `batches.safetensors` (ten batches of three
unequal sequences, packed), `expected.safetensors` and `golden.json` (settings, what was checked while making it and, but
for BLOOM's and Llama's, what `generate` of transformers appends to two prompts).
Everything is float32 on one thread with fixed seeds, so that two runs of the pinned versions give the same files.

    python -m venv VENV && VENV/bin/pip install -r tests/parity/requirements.txt
    VENV/bin/python tests/parity/make_goldens.py [--out DIR] [NAME...]
"""

import argparse
import copy
import json
import os
import shutil
import zlib
from pathlib import Path
from types import SimpleNamespace

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, get_linear_schedule_with_warmup
from transformers.pytorch_utils import Conv1D

from families import FAMILIES

STEPS = 10
SEQUENCES = 3  # of a batch
IGNORED = -100
# What is checked while a golden is made: that each setting of the optimiser shows in the losses, and that float32 rounds
# little of the expected values away.
CHECKS = ("settings", "conditioned")
RATES = (2e-3, 1e-2)  # learning rates of full fine-tuning and of LoRA

BLOOM = dict(model_type="bloom", attention_softmax_in_fp32=True)
LLAMA = dict(model_type="llama", bos_token_id=1, eos_token_id=2, max_position_embeddings=256)
GREEDY = [(3, 14), (11, 9)]  # tokens of a prompt and new tokens

# BLOOM's and Llama's; families.py has the others.
# config: of transformers; store: how the checkpoint is written; lora: LoraConfig of the main adapter;
# defaults: a second adapter on PEFT's default targets; lengths: of the first batch's sequences.
GOLDENS = {
    "bloom-4-heads": dict(
        config=dict(BLOOM, hidden_size=32, n_layer=2, n_head=4, vocab_size=128),
        store=dict(dtype=torch.float32),
        lora=dict(r=4, lora_alpha=8),
        defaults=True,
        lengths=[7, 12, 5],
        greedy=GREEDY,
    ),
    "bloom-6-heads": dict(
        config=dict(BLOOM, hidden_size=48, n_layer=3, n_head=6, vocab_size=151),
        store=dict(dtype=torch.bfloat16, prefix=False),
        lora=dict(r=3, lora_alpha=5),
        lengths=[7, 1, 19],
        greedy=GREEDY,
    ),
    "bloom-3-heads": dict(
        config=dict(BLOOM, hidden_size=24, n_layer=2, n_head=3, vocab_size=101, layer_norm_epsilon=1e-3),
        store=dict(dtype=torch.float16, old_keys=True),
        lora=dict(r=2, lora_alpha=8),
        lengths=[9, 4, 11],
        greedy=GREEDY,
    ),
    "llama-grouped": dict(
        config=dict(LLAMA, hidden_size=48, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
                    intermediate_size=80, vocab_size=137, tie_word_embeddings=False, rms_norm_eps=1e-5),
        store=dict(dtype=torch.float32, shard="40KB"),
        lora=dict(r=4, lora_alpha=8),
        defaults=True,
        lengths=[7, 12, 5],
        greedy=GREEDY,
    ),
    "llama-tied": dict(
        config=dict(LLAMA, hidden_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                    head_dim=12, intermediate_size=72, vocab_size=120, tie_word_embeddings=True,
                    rms_norm_eps=1e-6),
        store=dict(dtype=torch.bfloat16),
        lora=dict(r=4, lora_alpha=4),
        lengths=[3, 14, 8],
        greedy=GREEDY,
    ),
    # Wave lengths of theta 10000 and D 16 are 6.3, 20, 63, 199, ...: with 64 original positions and factors 1 and 4
    # (borders 64 and 16) they fall into all three regimes of the rule.
    "llama-rope-llama3": dict(
        config=dict(LLAMA, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                    intermediate_size=96, vocab_size=128, tie_word_embeddings=False, rms_norm_eps=1e-5,
                    max_position_embeddings=512,
                    rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                                         high_freq_factor=4.0, original_max_position_embeddings=64)),
        store=dict(dtype=torch.bfloat16),
        lora=dict(r=4, lora_alpha=8),
        lengths=[17, 29, 9],
        greedy=GREEDY,
    ),
    "llama-rope-linear": dict(
        config=dict(LLAMA, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
                    intermediate_size=56, vocab_size=111, tie_word_embeddings=True, rms_norm_eps=1e-5,
                    attention_bias=True, mlp_bias=True,
                    rope_parameters=dict(rope_type="linear", rope_theta=500.0, factor=4.0)),
        store=dict(dtype=torch.float32, old_keys=True),
        lora=dict(r=4, lora_alpha=8),
        lengths=[7, 31, 16],
        greedy=GREEDY,
    ),
    **FAMILIES,
}


def randomise(model, generator):
    """Weights with which every mechanism shows: attention far from uniform, biases and norms away from 0 and 1."""
    transposed = {name + ".weight" for name, module in model.named_modules() if isinstance(module, Conv1D)}
    # Gemma's norms scale by 1 + w, and its embedding is multiplied by sqrt(H).
    gemma = model.config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 2 and "embed" in name:
                parameter.copy_((0.15 if gemma else 0.4) * noise)
            elif parameter.dim() == 2:
                parameter.copy_(noise / parameter.shape[0 if name in transposed else 1] ** 0.5)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_((0 if gemma else 1) + 0.2 * noise)


def make_batches(vocabulary, lengths, generator):
    """Ten batches of three sequences, with labels ignored at the start of some and here and there inside."""
    draw = lambda low, high: int(torch.randint(low, high, (1,), generator=generator))
    sequences = []
    for index in range(STEPS * SEQUENCES):
        count = lengths[index] if index < SEQUENCES else draw(2, 1 + max(lengths))
        ids = torch.randint(0, vocabulary, (count,), generator=generator)
        labels = ids.clone()
        if index % 3 == 1:
            labels[: count // 2] = IGNORED
        if index % 3 == 2:
            labels[torch.rand(count, generator=generator) < 0.2] = IGNORED
        sequences.append((ids, labels))
    return [sequences[i : i + SEQUENCES] for i in range(0, len(sequences), SEQUENCES)]


def pack(batches):
    """Unshifted labels, as Hugging Face's collators give them."""
    flat = [sequence for batch in batches for sequence in batch]
    offsets = [0]
    for ids, _ in flat:
        offsets.append(offsets[-1] + len(ids))
    return {
        "ids": torch.cat([ids for ids, _ in flat]).to(torch.int32),
        "labels": torch.cat([labels for _, labels in flat]).to(torch.int32),
        "offsets": torch.tensor(offsets, dtype=torch.int32),
    }


def forget_lengths(model):
    """Dynamic scaling keeps the frequencies of the longest sequence that it has seen. loam takes each sequence alone."""
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        for kind, rope_type in (kinds if isinstance(kinds, dict) else {None: kinds}).items():
            if rope_type == "dynamic":
                prefix = f"{kind}_" if kind else ""
                setattr(module, prefix + "max_seq_len_cached", module.original_max_seq_len)
                setattr(module, prefix + "inv_freq", getattr(module, prefix + "original_inv_freq"))


def logits_of(model, ids):
    forget_lengths(model)
    return model(input_ids=ids[None]).logits[0]


def forward(model, batch):
    """Logits of each sequence alone, end to end, and the mean loss over the labels that count after the shift."""
    logits = [logits_of(model, ids) for ids, _ in batch]
    total = sum(
        cross_entropy(rows[:-1], labels[1:], ignore_index=IGNORED, reduction="sum")
        for rows, (_, labels) in zip(logits, batch)
    )
    count = sum(int((labels[1:] != IGNORED).sum()) for _, labels in batch)
    return torch.cat(logits), total / count


def trainables(model):
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def run_steps(model, batches, settings):
    """A run as the Trainer does it: AdamW in two groups, linear schedule with warm-up, clipping by the global norm."""
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    groups = [
        {"params": [p for n, p in trainables(model).items() if n in decayed], "weight_decay": settings["weight_decay"]},
        {"params": [p for n, p in trainables(model).items() if n not in decayed], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings["learning_rate"],
        betas=(settings["adam_beta1"], settings["adam_beta2"]),
        eps=settings["adam_epsilon"],
    )
    schedule = get_linear_schedule_with_warmup(optimiser, settings["warmup_steps"], STEPS)
    losses, norms = [], []
    for batch in batches:
        _, loss = forward(model, batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(trainables(model).values()), settings["max_grad_norm"])
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.detach())
        norms.append(norm.detach())
    return torch.stack(losses), torch.stack(norms)


def settings_for(make_model, batches, learning_rate):
    """Clipping acts in about half of the steps: the bound is the median of the norms of an unclipped run.

    The first batch alone gives the norm of one step, which is near that and takes a tenth of the time.
    """
    settings = dict(learning_rate=learning_rate, weight_decay=0.1, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8,
                    max_grad_norm=1e9, warmup_steps=2, steps=STEPS)
    _, norms = run_steps(make_model(), batches, settings)
    settings["max_grad_norm"] = round(float(norms.median()), 2)
    return settings


def check_settings_show(make_model, batches, settings, losses):
    """A run with any one setting wrong must end up well outside the test's tolerance of 1e-4."""
    wrong = dict(weight_decay=0.0, max_grad_norm=1e9, warmup_steps=0, adam_beta1=0.8, adam_beta2=0.9,
                 learning_rate=1.02 * settings["learning_rate"])
    for key, value in wrong.items():
        other, _ = run_steps(make_model(), batches, {**settings, key: value})
        difference = float((other - losses).abs().max())
        assert difference > 5e-4, f"{key} = {value} changes the losses by {difference} only"


def check_well_conditioned(make_model, batches, settings, logits, gradients, losses, norms):
    """The same in float64: what float32 rounds away must be small beside the test's tolerance of 1e-4."""
    model = make_model().double()
    exact, loss = forward(model, batches[0])
    loss.backward()
    relative = lambda a, b: float((a.double() - b).norm() / b.norm())
    assert relative(logits, exact.detach()) < 1e-5
    for name, parameter in trainables(model).items():
        if gradients[name].any():
            assert relative(gradients[name], parameter.grad) < 2e-5, name
        else:
            assert is_zero(parameter.grad, model), name
    exact, exact_norms = run_steps(make_model().double(), batches, settings)
    assert float((losses - exact).abs().max()) < 2e-5
    assert float((norms / exact_norms - 1).abs().max()) < 2e-5, "norm of a gradient"


def is_zero(gradient, model):
    """Whether only rounding is left of a gradient: the bias of a key without RoPE changes no softmax."""
    return gradient.norm() < 1e-6 * max(parameter.grad.norm() for parameter in trainables(model).values())


class Rounded(torch.nn.Module):
    """The model in bf16, with parameters in float32."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        weights = {name: parameter.bfloat16() for name, parameter in self.model.named_parameters()}
        output = torch.func.functional_call(self.model, weights, (), dict(input_ids=input_ids))
        return SimpleNamespace(logits=output.logits.float())


def bf16_errors(make_model, batches, settings, logits, gradients, losses):
    """How far PyTorch's own results in bf16 are from those in float32: the largest error of a gradient and of a loss."""
    relative = lambda a, b: float((a - b).norm() / b.norm())
    model = Rounded(make_model())
    rounded, loss = forward(model, batches[0])
    loss.backward()
    rounded_losses, _ = run_steps(Rounded(make_model()), batches, settings)
    errors = {
        "logits": relative(rounded.detach(), logits.detach()),
        "gradients": max(relative(parameter.grad, gradients[name.removeprefix("model.")])
                         for name, parameter in trainables(model).items() if not name.endswith("k_proj.bias")),
        "losses": float((rounded_losses - losses).abs().max()),
    }
    return {key: float(f"{error:.3g}") for key, error in errors.items()}


def expect(model, make_model, key_of, batches, settings, prefix, expected, checks, rounded=False):
    """Logits, loss and gradients of the first batch, and the losses of the run.

    checks: of CHECKS; rounded: also the errors of bf16.
    """
    logits, loss = forward(model, batches[0])
    loss.backward()
    expected[prefix + "logits"] = logits.detach()
    expected[prefix + "loss"] = loss.detach()[None]
    for name, parameter in trainables(model).items():
        assert parameter.grad.abs().max() > 0, f"the gradient of {name} is zero"
        if name.endswith("k_proj.bias") and is_zero(parameter.grad, model):
            parameter.grad.zero_()
        expected[f"{prefix}grad.{key_of(name)}"] = parameter.grad
    losses, norms = run_steps(make_model(), batches, settings)
    clipped = int((norms > settings["max_grad_norm"]).sum())
    assert abs(losses[0] - loss) < 1e-6
    gradients = {name: parameter.grad for name, parameter in trainables(model).items()}
    if "settings" in checks:
        assert 0 < clipped < STEPS, f"clipping acts in {clipped} of {STEPS} steps"
        check_settings_show(make_model, batches, settings, losses)
    if "conditioned" in checks:
        check_well_conditioned(make_model, batches, settings, logits, gradients, losses, norms)
    if rounded:
        settings["bf16"] = bf16_errors(make_model, batches, settings, logits, gradients, losses)
    expected[prefix + "losses"] = losses
    expected[prefix + "grad_norms"] = norms
    return clipped


def with_adapter(model, lora, seed):
    """The base with a LoRA adapter whose A and B are both random, so that no gradient is zero by construction."""
    torch.manual_seed(seed)
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **lora))
    with torch.no_grad():
        for name, parameter in trainables(adapted).items():
            parameter.normal_(0, 0.1 if "lora_B" in name else parameter.shape[1] ** -0.5)
    return adapted


def peft_key(name):
    return name.replace(".default.", ".")


def old_config_keys(config, family):
    """config.json as checkpoints of 2022 and 2023 have it."""
    config["torch_dtype"] = config.pop("dtype")
    if family == "bloom":
        config["n_embed"] = config.pop("hidden_size")
        config["num_attention_heads"] = config.pop("n_head")
        config["num_hidden_layers"] = config.pop("n_layer")
        return
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": rope["rope_type"], "factor": rope["factor"]}


def store_model(model, directory, store, family):
    """As save_pretrained writes it; `prefix=False`: as the inner model is saved, like BLOOM's checkpoints on the hub."""
    stored = copy.deepcopy(model).to(store["dtype"])
    stored.config.dtype = store["dtype"]
    stored.save_pretrained(directory, max_shard_size=store.get("shard", "1GB"))
    if not store.get("prefix", True):
        tensors = load_file(directory / "model.safetensors")
        prefix = model.base_model_prefix + "."
        assert all(name.startswith(prefix) for name in tensors)
        save_file({n.removeprefix(prefix): t for n, t in tensors.items()}, directory / "model.safetensors",
                  metadata={"format": "pt"})
    path = directory / "config.json"
    config = json.loads(path.read_text())
    if store.get("old_keys"):
        old_config_keys(config, family)
    for key, value in store.get("replace", {}).items():
        if value is None:
            del config[key]
        else:
            config[key] = value
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (directory / "generation_config.json").unlink(missing_ok=True)


def store_adapter(adapted, directory, name, save_base=False):
    """With save_base, PEFT stores the weights of adapted heads and embeddings as well."""
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.save_pretrained(directory, save_embedding_layers=save_base)
    (directory / "README.md").unlink()
    # The targets are a set, in another order in every run of Python.
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True))


def generate(model, prompt, count):
    """What generate of transformers appends to the prompt."""
    forget_lengths(model)
    ids = model.generate(input_ids=prompt[None], attention_mask=torch.ones_like(prompt)[None], do_sample=False,
                         max_new_tokens=count, pad_token_id=0)[0]
    assert len(ids) == len(prompt) + count
    return ids[len(prompt):]


def continue_certainly(model, prompt, count):
    """The likeliest tokens after the prompt, from whole sequences; None where one leads the next best by rounding alone.

    Most prompts end here after a few tokens, which is much faster than generate.
    """
    ids = prompt
    for _ in range(count):
        best = logits_of(model, ids)[-1].topk(2)
        if best.values[0] - best.values[1] < 0.01:
            return None
        ids = torch.cat([ids, best.indices[:1]])
    return ids[len(prompt):]


@torch.no_grad()
def make_greedy(model, sizes, generator, distinct=3):
    """Prompts of the given sizes and what follows: tokens that rounding does not change, so many of them distinct."""
    model.generation_config.eos_token_id = None
    found = []
    for size, count in sizes:
        for _ in range(1000):
            prompt = torch.randint(0, model.config.vocab_size, (size,), generator=generator)
            new = continue_certainly(model, prompt, count)
            if new is not None and len(new.unique()) >= distinct:
                break
        else:
            raise RuntimeError("no prompt has a certain continuation")
        assert torch.equal(generate(model, prompt, count), new), "generate disagrees with the model on the whole sequence"
        found.append({"prompt": prompt.tolist(), "tokens": new.tolist()})
    return found


def make_golden(name, golden, seed, directory, checks=CHECKS):
    """checks without "settings": of a random configuration, which is compared in float32 alone."""
    thorough = "settings" in checks
    rounded = thorough and name in FAMILIES  # BLOOM's and Llama's keep within the bounds without it
    generator = torch.Generator().manual_seed(seed)
    config = AutoConfig.for_model(**golden["config"])
    model = AutoModelForCausalLM.from_config(config).float()
    randomise(model, generator)
    store_model(model, directory, golden["store"], config.model_type)
    # What the file holds is what is computed with.
    attention = golden.get("attention", "eager")
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation=attention).eval()
    model.config.name_or_path = name
    batches = make_batches(config.vocab_size, golden["lengths"], generator)
    save_file(pack(batches), directory / "batches.safetensors", metadata={"format": "pt"})

    expected = {}
    manifest = {"name": name, "seed": seed, "sequences": SEQUENCES, "adapters": {}}
    copy_model = lambda: copy.deepcopy(model)
    tried = batches if thorough else batches[:1]
    manifest["full"] = settings_for(copy_model, tried, golden.get("rates", RATES)[0])
    manifest["full"]["clipped"] = expect(copy_model(), copy_model, str, batches, manifest["full"], "full.", expected,
                                         checks, rounded)

    adapters = {"adapter": dict(golden["lora"], target_modules="all-linear")}
    if golden.get("defaults"):
        adapters["adapter-default"] = dict(golden["lora"])
    for number, (adapter, lora) in enumerate(adapters.items()):
        make_adapted = lambda: with_adapter(model, lora, seed + 100 + number)
        store_adapter(make_adapted(), directory / adapter, name)
        settings = settings_for(make_adapted, tried, golden.get("rates", RATES)[1])
        settings["clipped"] = expect(make_adapted(), make_adapted, peft_key, batches, settings, adapter + ".", expected,
                                     checks, rounded)
        saved = load_file(directory / adapter / "adapter_model.safetensors")
        assert set(saved) == {n.split(".grad.", 1)[1] for n in expected if n.startswith(adapter + ".grad.")}
        assert set(saved) == set(get_peft_model_state_dict(make_adapted()))
        manifest["adapters"][adapter] = settings
    if "greedy" in golden:
        manifest["greedy"] = make_greedy(copy_model(), golden["greedy"], generator, 3 if thorough else 1)
    assert all(torch.isfinite(tensor).all() for tensor in expected.values())
    save_file({n: t.contiguous() for n, t in expected.items()}, directory / "expected.safetensors",
              metadata={"format": "pt"})
    (directory / "golden.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    print(f"{name}: {model.num_parameters()} parameters, loss {float(expected['full.loss'][0]):.4f}")
    for run in ("full", *adapters):
        losses = " ".join(f"{float(loss):.4f}" for loss in expected[run + ".losses"])
        print(f"  {run}: {losses}")


def seed_of(name):
    """Of BLOOM's and Llama's by their place in the table, of the others by their names."""
    if name in FAMILIES:
        return zlib.crc32((name + FAMILIES[name].get("salt", "")).encode()) % 10**6
    return 1000 * (1 + list(GOLDENS).index(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="goldens to make (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "goldens")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, golden in GOLDENS.items():
        if arguments.names and name not in arguments.names:
            continue
        directory = arguments.out / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        make_golden(name, golden, seed_of(name), directory)


if __name__ == "__main__":
    main()
