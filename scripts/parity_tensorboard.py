#!/usr/bin/env python3
"""Reads the event file of a run with the tensorboard package and compares it with the run's metrics.jsonl.

    parity_tensorboard.py OUT

The event file must contain every line of OUT/metrics.jsonl, under the tags that transformers' Trainer uses, with the same
steps and values (single precision), and nothing else except the settings of the run as a text."""
import json
import pathlib
import sys

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers.integrations.integration_utils import rewrite_logs


def expected_scalars(path):
    scalars = {}
    for line in path.read_text().splitlines():
        values = json.loads(line)
        step = values.pop("step")
        for tag, value in rewrite_logs(values).items():
            scalars.setdefault(tag, []).append((step, float(numpy.float32(value))))
    return scalars


def main():
    out = pathlib.Path(sys.argv[1])
    events = EventAccumulator(str(out / "runs"), size_guidance={"scalars": 0})
    events.Reload()
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    expected = expected_scalars(out / "metrics.jsonl")
    for tag in sorted(expected.keys() | found.keys()):
        if expected.get(tag) != found.get(tag):
            sys.exit(f"{tag}: metrics.jsonl has {expected.get(tag)}, the event file {found.get(tag)}")
    texts = events.Tags()["tensors"]
    settings = events.Tensors(texts[0])[0].tensor_proto.string_val[0].decode() if texts else ""
    if texts != ["args/text_summary"] or "| learning_rate | 0.001 |" not in settings:
        sys.exit(f"the settings are not there as text: {texts}, {settings!r}")
    print(f"{len(found)} tags, {sum(map(len, found.values()))} values: the same")


main()
