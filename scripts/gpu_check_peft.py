"""The part of scripts/gpu-check that trains the same shapes with PEFT."""

import json
import os
import random
import statistics
import subprocess
import sys

from gpu_check_shared import ROOT, WARM_UP, Failed, MemoryWatch, Skip, run, tail


def peft_python(check):
    python = check.args.python or sys.executable
    probe = "import peft, torch, transformers; print(torch.__version__, torch.cuda.is_available())"
    done = subprocess.run([python, "-c", probe], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skip(f"{python} has no PEFT: {tail(done.stderr, 1)}")
    version, has_gpu = done.stdout.split()[-2:]
    if has_gpu != "True" and not check.args.rehearse:
        raise Skip(f"PyTorch {version} sees no GPU")
    return python


def write_job(check, shape, **job):
    path = check.work / "job.json"
    path.write_text(json.dumps(dict(model=str(check.model(shape)), adapter=str(check.adapter(shape)), rank=shape["rank"],
                                    targets=shape["targets"], **job)))
    return path


def run_peft(check, python, job, limit):
    return run(check, [python, ROOT / "bench/vs_peft_worker.py", job], limit, dict(HF_HUB_OFFLINE="1"))


def train_peft(check, python, shape, attention, compiled, limit):
    if not check.adapter(shape).exists():
        run_peft(check, python, write_job(check, shape, task="adapter"), limit)
    vocabulary, numbers = shape["config"]["vocab_size"], random.Random(42)
    batch = [dict(ids=[numbers.randrange(vocabulary) for _ in range(length)], label_start=0) for length in shape["lengths"]]
    (check.work / "batches.json").write_text(json.dumps([batch] * (WARM_UP + check.steps)))
    job = write_job(check, shape, task="train", batches=str(check.work / "batches.json"), steps=WARM_UP + check.steps,
                    threads=os.cpu_count(), learning_rate=1e-5, dtype="bfloat16", attention=attention, checkpointing=False,
                    compiled=compiled,
                    device="cpu" if check.args.rehearse else check.device if check.device.startswith("cuda") else "cuda")
    with MemoryWatch(check.device) as memory:
        output = run_peft(check, python, job, limit)
    events = [json.loads(line) for line in output.splitlines() if line.startswith('{"event"')]
    seconds = [event["seconds"] for event in events if event["event"] == "step"][WARM_UP:]
    return dict(tokens_per_second=sum(shape["lengths"]) / statistics.median(seconds), step_seconds=seconds,
                device_bytes=memory.most)


def try_peft(check, python, shape, compiled, variants):
    """Adds what PEFT reaches with its fast attention, or with eager where the model has nothing else."""
    for attention in ("sdpa", "eager"):
        name = f"PEFT, {attention}" + (", compiled" if compiled else "")
        try:
            limit = min(75, check.left() - 80) if compiled else 75  # compiling must not take the time of other parts
            variants[name] = train_peft(check, python, shape, attention, compiled, limit)
            return
        except Failed as failure:
            variants[name] = dict(failed=str(failure))
        except Skip as reason:
            variants[name] = dict(skipped=str(reason))


def part_peft(check):
    python = peft_python(check)
    results, rows, notes = {}, [], []
    for shape in check.shapes:
        own = check.step(shape)
        results[shape["name"]] = dict(loam=dict(tokens_per_second=own["tokens_per_second"], device_bytes=own["device_bytes"]))
        try_peft(check, python, shape, False, results[shape["name"]])
    for shape in check.shapes:
        try_peft(check, python, shape, True, results[shape["name"]])
    for shape, variants in results.items():
        for name, variant in variants.items():
            held, said = variant.get("device_bytes"), variant.get("failed") or variant.get("skipped")
            rows.append([shape, name, said[:60] if said else f"{variant['tokens_per_second']:.1f}",
                         f"{held / 2**20:.0f}" if held else "-"])
        rates = [v["tokens_per_second"] for n, v in variants.items() if n != "loam" and "tokens_per_second" in v]
        notes.append(f"{shape}: {variants['loam']['tokens_per_second'] / max(rates):.2f} times PEFT" if rates else
                     f"{shape}: no variant of PEFT ran")
    check.table("Training beside PEFT in bf16", ["model", "with", "tokens/s", "MiB of the device"], rows)
    if "no variant" in " ".join(notes):
        raise Failed("; ".join(notes))
    return results, "; ".join(notes)
