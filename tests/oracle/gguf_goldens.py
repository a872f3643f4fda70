#!/usr/bin/env python3
"""Makes tests/goldens/gguf: a file with a metadata value of every type and a tensor of every type, written by the `gguf`
package of llama.cpp from values.f32, for our writer to equal byte for byte.

    python tests/oracle/gguf_goldens.py tests/goldens/gguf
"""
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np

SHAPE = (5, 64)


def values():
    """Rows with what rounds one way or the other: ties of every type, subnormal halves, a zero block, mixed magnitudes."""
    random = np.random.default_rng(20261123)
    rows = random.standard_normal(SHAPE).astype(np.float32)
    rows[1] = np.arange(64, dtype=np.float32) / 2 - 16  # Q8_0 with scale 1/8 … and halves between integers
    rows[1, 0], rows[1, 32] = 127, -127  # scale 1: the halves stay halves
    rows[2, :32] = 0
    rows[2, 32:] = (np.arange(32, dtype=np.float32) - 7.5) * np.float32(2.0**-25)  # subnormal halves and their ties
    rows[3] = random.standard_normal(64).astype(np.float32) * np.float32(10.0) ** random.integers(-6, 4, 64)
    bits = rows[4].view(np.uint32)
    bits[:] = (bits & 0xFFFF0000) | 0x8000  # ties of bfloat16, to even and to odd
    bits[32:] = (bits[32:] & 0xFFFFE000) | 0x1000  # ties of half
    return rows


def write(path, rows):
    writer = gguf.GGUFWriter(path, "golden")  # general.architecture
    writer.add_uint8("type.uint8", 200)
    writer.add_int8("type.int8", -100)
    writer.add_uint16("type.uint16", 60000)
    writer.add_int16("type.int16", -30000)
    writer.add_uint32("type.uint32", 4000000000)
    writer.add_int32("type.int32", -2000000000)
    writer.add_float32("type.float32", 1e-5)
    writer.add_bool("type.bool", True)
    writer.add_string("type.string", "Grüße, ▁\n")
    writer.add_uint64("type.uint64", 2**63 + 1)
    writer.add_int64("type.int64", -(2**62))
    writer.add_float64("type.float64", 0.1)
    writer.add_key_value("array.string", ["a", "", "▁b"], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING)
    writer.add_key_value("array.int32", [1, -2, 3], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.INT32)
    writer.add_key_value("array.float32", [0.5, -1.5], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.FLOAT32)
    writer.add_key_value("array.uint8", [0, 255], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT8)
    writer.add_key_value("array.uint64", [2**40], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT64)
    writer.add_key_value("array.bool", [True, False, True], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.BOOL)
    for name in ("F32", "F16", "BF16", "Q8_0"):
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(f"tensor.{name}", gguf.quants.quantize(rows, kind), raw_dtype=kind)
    writer.add_tensor("tensor.odd", rows[0, :5])  # 20 bytes: zeros follow
    writer.add_tensor("tensor.cube", rows[:3, :4].reshape(3, 2, 2))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    folder = Path(sys.argv[1])
    rows = values()
    rows.tofile(folder / "values.f32")
    write(folder / "all_types.gguf", rows)
    record = {
        "made_by": "tests/oracle/gguf_goldens.py",
        "versions": {"python": platform.python_version(), "gguf": version("gguf"), "numpy": version("numpy")},
        "values.f32": "float32, 5 x 64: what the tensors hold",
    }
    (folder / "provenance.json").write_text(json.dumps(record, indent=2) + "\n")


main()
