#!/usr/bin/env python3
"""Makes tests/data/torch: small files of torch.save, and tensors.json with what they hold.

Also a tiny model and an adapter of it, each as safetensors, in one .bin file and, the model, in two with an index.

Run with torch 2.13, transformers 5.23 and peft 0.21. The files are compared byte by byte in no test, so another version may write them.
"""

import collections
import json
import struct
import sys
import zipfile
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent / "torch"


def values_of(shape, dtype, start):
    count = 1
    for size in shape:
        count *= size
    return (torch.arange(count, dtype=torch.float32) / 4 + start).reshape(shape).to(dtype)


def make_state():
    """All dtypes, a scalar, an empty tensor, parameters, views and a shared storage."""
    state = collections.OrderedDict()
    state["f32"] = values_of((2, 3), torch.float32, 1)
    state["f16"] = values_of((4,), torch.float16, 2)
    state["bf16"] = values_of((2, 1, 2), torch.bfloat16, 3)
    state["parameter"] = torch.nn.Parameter(values_of((3,), torch.float32, 4))
    state["shared"] = state["f32"]
    state["row"] = state["f32"][1]
    state["rows"] = values_of((5, 2), torch.float16, 5)[2:4]
    state["column"] = values_of((6, 1), torch.float32, 6)[::1]
    state["one_of_each"] = values_of((4, 3), torch.float32, 7)[2:3, 1:2]
    state["scalar"] = torch.tensor(8.5)
    state["none"] = torch.zeros(0, 7)
    state["f64"] = torch.tensor([9.5], dtype=torch.float64)
    for name in "int64 int32 int16 int8 uint8 bool".split():
        state[name] = torch.tensor([1, 0, 1]).to(getattr(torch, name))
    state["a name with — and spaces"] = values_of((1,), torch.float32, 10)
    return state


def expected_of(state):
    return {
        name: {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape),
               "values": tensor.detach().double().flatten().tolist()}
        for name, tensor in state.items()
    }


def save(name, value, **options):
    torch.save(value, ROOT / name, **options)


def rewrite(source, target, change):
    """Writes an archive again with other entries: change(name, data) gives entries as (name, data, compression)."""
    with zipfile.ZipFile(ROOT / source) as old, zipfile.ZipFile(ROOT / target, "w") as new:
        for info in old.infolist():
            for name, data, compression in change(info.filename, old.read(info)):
                new.writestr(zipfile.ZipInfo(name), data, compress_type=compression)


def make_zip64(source, target):
    """Moves sizes and offsets of the directory into zip64 fields, as archives above 4 GiB have them."""
    data = (ROOT / source).read_bytes()
    end = data.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<HII", data, end + 10)
    directory, at = b"", offset
    for _ in range(count):
        fixed = bytearray(data[at : at + 46])
        packed, plain = struct.unpack_from("<II", fixed, 20)
        names, extras, comments = struct.unpack_from("<HHH", fixed, 28)
        header = struct.unpack_from("<I", fixed, 42)[0]
        field = struct.pack("<HH", 1, 24) + struct.pack("<QQQ", plain, packed, header)
        struct.pack_into("<II", fixed, 20, 0xFFFFFFFF, 0xFFFFFFFF)
        struct.pack_into("<I", fixed, 42, 0xFFFFFFFF)
        struct.pack_into("<H", fixed, 30, extras + len(field))
        directory += bytes(fixed) + data[at + 46 : at + 46 + names] + field
        directory += data[at + 46 + names : at + 46 + names + extras + comments]
        at += 46 + names + extras + comments
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), offset)
    locator = struct.pack("<IIQI", 0x07064B50, 0, offset + len(directory), 1)
    last = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (ROOT / target).write_bytes(data[:offset] + directory + end64 + locator + last)


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2, bias=False)


def make_model():
    """A BLOOM; its state dictionary has the head as well, which shares the storage of the embedding."""
    torch.manual_seed(1)
    config = transformers.BloomConfig(vocab_size=16, hidden_size=8, n_layer=2, n_head=2, dtype="float32")
    model = transformers.BloomForCausalLM(config)
    for name in ("single", "sharded", "safetensors"):
        (ROOT / name).mkdir(exist_ok=True)
        config.architectures = ["BloomForCausalLM"]
        config.to_json_file(ROOT / name / "config.json")
    state = model.state_dict()
    assert "lm_head.weight" in state
    torch.save(state, ROOT / "single" / "pytorch_model.bin")
    names = list(state)
    shards = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i::2] for i in range(2)}
    for file, part in shards.items():
        torch.save({name: state[name] for name in part}, ROOT / "sharded" / file)
    index = {"metadata": {}, "weight_map": {name: file for file, part in shards.items() for name in part}}
    (ROOT / "sharded" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")
    # The head is left out, as save_pretrained does.
    tensors = {name: tensor.contiguous() for name, tensor in state.items() if name != "lm_head.weight"}
    save_file(tensors, ROOT / "safetensors" / "model.safetensors", metadata={"format": "pt"})
    return model


def make_adapter(model):
    lora = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["query_key_value"], init_lora_weights=False)
    adapted = peft.get_peft_model(model, lora)
    adapted.save_pretrained(ROOT / "adapter_safetensors")
    adapted.save_pretrained(ROOT / "adapter_bin", safe_serialization=False)
    for name in ("adapter_safetensors", "adapter_bin"):
        (ROOT / name / "README.md").unlink(missing_ok=True)


def main():
    ROOT.mkdir(exist_ok=True)
    make_adapter(make_model())
    state = make_state()
    save("state.bin", state)
    save("dict.bin", dict(state))
    make_zip64("state.bin", "zip64.bin")
    module = Module()
    with torch.no_grad():
        module.linear.weight.copy_(values_of((2, 2), torch.float32, 1))
    save("module.bin", module.state_dict())  # with the attribute _metadata
    small = {"w": values_of((2, 2), torch.float32, 1)}
    numbers = torch.arange(1100, dtype=torch.float32)
    save("many.bin", {f"w.{i}": numbers[i] for i in range(1100)})  # more than pickle sets at once
    save("transposed.bin", {"w": values_of((2, 3), torch.float32, 1).t()})
    save("expanded.bin", {"w": torch.zeros(1).expand(3)})
    save("nested.bin", {"state_dict": small, "epoch": 1})
    save("number.bin", {"w": small["w"], "epoch": 1})
    save("float8.bin", {"w": torch.zeros(2).to(torch.float8_e4m3fn)})
    save("negated.bin", {"w": torch.complex(torch.ones(2), torch.ones(2)).conj().imag})
    save("sparse.bin", {"w": torch.eye(2).to_sparse()})
    save("object.bin", module)
    save("tensor.bin", small["w"])
    save("protocol4.bin", small, pickle_protocol=4)
    save("old.bin", small, _use_new_zipfile_serialization=False)
    save("small.bin", small)
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    rewrite("small.bin", "deflated.bin", lambda n, d: [(n, d, deflated)])
    rewrite("small.bin", "no_storage.bin", lambda n, d: [] if n.endswith("data/0") else [(n, d, stored)])
    rewrite("small.bin", "short_storage.bin", lambda n, d: [(n, d[:-1] if n.endswith("data/0") else d, stored)])
    rewrite("small.bin", "big_endian.bin", lambda n, d: [(n, b"big" if n.endswith("byteorder") else d, stored)])
    rewrite("small.bin", "no_pickle.bin", lambda n, d: [] if n.endswith("data.pkl") else [(n, d, stored)])
    rewrite("small.bin", "no_byteorder.bin", lambda n, d: [] if n.endswith("byteorder") else [(n, d, stored)])
    rewrite("small.bin", "twice.bin", lambda n, d: [(n, d, stored)] * (2 if n.endswith("data/0") else 1))
    (ROOT / "tensors.json").write_text(json.dumps(expected_of(state), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
