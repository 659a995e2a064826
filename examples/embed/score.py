#!/usr/bin/env python3
"""Prints the mean loss of each text, as score.c does, through ctypes and the standard library alone.

  score.py LIBLOAM.SO MODEL_DIRECTORY TEXT...
"""
import ctypes
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_void_p


class Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("message", c_char * 1024)]


class Sized(ctypes.Structure):
    """A struct that begins with its size."""

    def __init__(self, **values):
        super().__init__(size=ctypes.sizeof(self), **values)


class ModelSettings(Sized):
    _fields_ = [("size", c_size_t), ("directory", c_char_p), ("dtype", c_char_p), ("callbacks", c_void_p)]


class EvaluatorSettings(Sized):
    _fields_ = [("size", c_size_t), ("tokens", c_int32), ("sequences", c_int32), ("adapters", c_void_p),
                ("adapter_count", c_size_t)]


class PackedBatch(Sized):
    _fields_ = [("size", c_size_t), ("sequences", c_int32), ("offsets", POINTER(c_int32)), ("ids", POINTER(c_int32)),
                ("weights", POINTER(c_float)), ("adapters", c_void_p)]


TOKENS, LOAM_TEXT_WHOLE, LOAM_ABI_VERSION = 2048, 1, 1


def main(library, directory, texts):
    loam = ctypes.CDLL(library)
    if loam.loam_abi_version() != LOAM_ABI_VERSION:
        sys.exit("score.py: the library has another ABI")
    error = Error()

    def call(name, *arguments):
        if getattr(loam, name)(*arguments, byref(error)) != 0:
            sys.exit("score.py: " + error.message.decode())

    device, model, tokenizer, evaluator = c_void_p(), c_void_p(), c_void_p(), c_void_p()
    call("loam_device_open", byref(device), b"cpu", c_int32(0))
    settings = ModelSettings(directory=directory.encode(), dtype=b"f32")
    call("loam_model_open", byref(model), device, byref(settings))
    call("loam_tokenizer_open", byref(tokenizer), directory.encode())
    call("loam_evaluator_open", byref(evaluator), model, byref(EvaluatorSettings(tokens=TOKENS, sequences=1)))
    ids, losses, count = (c_int32 * TOKENS)(), (c_float * TOKENS)(), c_size_t()
    for text in texts:
        data = text.encode()
        call("loam_text_encode", tokenizer, data, c_size_t(len(data)), c_int(LOAM_TEXT_WHOLE), ids, c_size_t(TOKENS),
             byref(count))
        if not 2 <= count.value <= TOKENS:
            sys.exit(f"score.py: a text of {count.value} tokens: expected 2 to {TOKENS}")
        offsets = (c_int32 * 2)(0, count.value)
        call("loam_evaluator_run", evaluator, byref(PackedBatch(sequences=1, offsets=offsets, ids=ids)), losses)
        print(f"{c_double(sum(losses[:count.value])).value / (count.value - 1):.4f}  {text}")
    for handle in ("evaluator", "tokenizer", "model", "device"):
        getattr(loam, f"loam_{handle}_close")(locals()[handle])


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
