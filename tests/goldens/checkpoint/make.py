"""Makes the files of this folder: what the reference implementations write for the tensors that the tests name.

    python make.py          (see README.md for the versions that made the committed files)
"""

import ctypes
import json
import pathlib
import struct
import tempfile

import safetensors
import torch
import transformers

HERE = pathlib.Path(__file__).parent

DTYPES = [("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8), ("F8_E5M2", 8), ("F8_E4M3", 8),
          ("F8_E8M0", 8), ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("I16", 16), ("U16", 16), ("F16", 16), ("BF16", 16),
          ("I32", 32), ("U32", 32), ("F32", 32), ("C64", 64), ("F64", 64), ("I64", 64), ("U64", 64)]
# What serialize() of the Python package calls them.
PYTHON_NAMES = {"BOOL": "bool", "F4": "float4_e2m1fn_x2", "F6_E2M3": "float6_e2m3", "F6_E3M2": "float6_e3m2",
                "U8": "uint8", "I8": "int8", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn",
                "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
                "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16", "I32": "int32", "U32": "uint32",
                "F32": "float32", "C64": "complex64", "F64": "float64", "I64": "int64", "U64": "uint64"}


def all_dtypes():
    """Every dtype, twice, in an order that is not the file's; a scalar, an empty tensor, names to escape."""
    entries, byte = {}, 0
    names = [f"{suffix}.{name}" for suffix in "zä" for name, _ in DTYPES]
    for name in names:
        bits = dict(DTYPES)[name.split(".")[1]]
        shape = [] if name == "z.F32" else [0, 3] if name == "ä.I16" else [2, 4]
        size = 1
        for n in shape:
            size *= n
        data = bytes((byte + i) % 251 for i in range(size * bits // 8))
        byte += len(data)
        entries[name] = (name.split(".")[1], shape, data)
    entries['quote " backslash \\ tab \t bell \x07 del \x7f'] = ("U8", [1], b"q")
    return entries


def written_by_reference():
    specs, buffers = {}, []
    for name, (dtype, shape, data) in all_dtypes().items():
        # Two F4 elements are one of PyTorch's.
        given = shape[:-1] + [shape[-1] // 2] if dtype == "F4" else shape
        buffers.append(ctypes.create_string_buffer(data, max(len(data), 1)))
        try:
            specs[name] = safetensors.TensorSpec(dtype=PYTHON_NAMES[dtype], shape=given,
                                                 data_ptr=ctypes.addressof(buffers[-1]), data_len=len(data))
        except Exception as error:  # a dtype that the Python package does not write
            print("left out:", name, error)
    return safetensors.serialize(specs, {"format": "pt"})


def shards():
    """A tiny Llama saved by transformers at several shard sizes: the index, and the header of every shard."""
    config = transformers.LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                                      num_attention_heads=4, tie_word_embeddings=False)
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    state = model.state_dict()
    cases = {"tensors": [[name, list(t.shape)] for name, t in state.items()], "cases": []}
    # 600 and 1000 are below the size of some tensors, which then have files of their own.
    for size in (600, 1000, 2000, 5000, 10**9):
        with tempfile.TemporaryDirectory() as directory:
            model.save_pretrained(directory, max_shard_size=size)
            index = pathlib.Path(directory, "model.safetensors.index.json")
            headers = {}
            for path in sorted(pathlib.Path(directory).glob("*.safetensors")):
                data = path.read_bytes()
                headers[path.name] = data[8 : 8 + struct.unpack("<Q", data[:8])[0]].decode()
            cases["cases"].append({"max_shard_size": size, "index": index.read_text() if index.exists() else None,
                                   "headers": headers})
    return cases


if __name__ == "__main__":
    torch.manual_seed(0)
    (HERE / "all_dtypes.safetensors").write_bytes(written_by_reference())
    (HERE / "shards.json").write_text(json.dumps(shards(), ensure_ascii=False) + "\n")
