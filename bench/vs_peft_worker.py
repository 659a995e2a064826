#!/usr/bin/env python3
"""A process of PEFT for bench/vs_peft.py: vs_peft_worker.py JOB.json. Prints one JSON object per line: {"event": ...}.

The setup follows the documentation of transformers and PEFT: weights are loaded in the dtype of computation,
LoRA matrices are f32 (PEFT's default), batches are padded to their longest example as by the Trainer's collator, labels
of the padding are ignored, the optimiser is AdamW, and gradients are clipped to 1. job["device"] is the CPU where it is
not given.
"""

import json
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

IGNORED = -100


def say(event, **fields):
    print(json.dumps(dict(event=event, **fields)), flush=True)


def make_adapter(job):
    """Writes the untrained adapter that both libraries start from: A gaussian, B zero. The model has no data here."""
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(job["model"]))
        lora = LoraConfig(r=job["rank"], lora_alpha=2 * job["rank"], target_modules=job["targets"],
                          lora_dropout=0.0, task_type="CAUSAL_LM", base_model_name_or_path=job["model"])
        model = get_peft_model(base, lora)
    generator = torch.Generator().manual_seed(42)
    tensors = {}
    for name, parameter in model.named_parameters():
        if ".lora_" not in name:
            continue
        values = torch.zeros(parameter.shape)
        if ".lora_A." in name:
            values.normal_(0, 1 / job["rank"], generator=generator)
        tensors[name.replace(".default", "")] = values
    model.peft_config["default"].inference_mode = True
    model.peft_config["default"].save_pretrained(job["adapter"])
    save_file(tensors, os.path.join(job["adapter"], "adapter_model.safetensors"), metadata={"format": "pt"})
    say("adapter", tensors=len(tensors))


def device_of(job):
    return job.get("device", "cpu")


def load(job):
    base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["dtype"]),
                                                attn_implementation=job["attention"])
    base.config.use_cache = False
    if job["checkpointing"]:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=dict(use_reentrant=False))
        base.enable_input_require_grads()
    model = PeftModel.from_pretrained(base, job["adapter"], is_trainable=True).to(device_of(job)).train()
    # Batches differ in length: without `dynamic` each of the first ones is compiled by itself.
    return torch.compile(model, dynamic=True) if job["compiled"] else model


def collate(batch):
    longest = max(len(example["ids"]) for example in batch)
    rows = [(e["ids"], e["label_start"], longest - len(e["ids"])) for e in batch]
    return dict(
        input_ids=torch.tensor([ids + [0] * pad for ids, _, pad in rows]),
        attention_mask=torch.tensor([[1] * len(ids) + [0] * pad for ids, _, pad in rows]),
        labels=torch.tensor([[IGNORED] * start + ids[start:] + [IGNORED] * pad for ids, start, pad in rows]),
    )


def train(job):
    torch.set_num_threads(job["threads"])
    with open(job["batches"]) as file:
        batches = [collate(batch) for batch in json.load(file)[: job["steps"]]]
    batches = [{name: tensor.to(device_of(job)) for name, tensor in batch.items()} for batch in batches]
    model = load(job)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=job["learning_rate"], weight_decay=0)
    say("start", parameters=sum(p.numel() for p in parameters))
    for batch in batches:
        begin = time.perf_counter()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        value = float(loss.detach())
        if device_of(job) != "cpu":
            torch.cuda.synchronize()
        say("step", loss=value, seconds=time.perf_counter() - begin)
    if device_of(job) != "cpu":
        say("memory", bytes=torch.cuda.max_memory_reserved())


if __name__ == "__main__":
    with open(sys.argv[1]) as job_file:
        settings = json.load(job_file)
    (make_adapter if settings["task"] == "adapter" else train)(settings)
