"""Makes the files of this folder: what torch.save writes for the tensors that the tests name, and what they are.

    python make.py          (see README.md for the versions that made the committed files)
"""

import collections
import json
import os
import pathlib
import pickle
import shutil
import tempfile
import zipfile

import safetensors.torch
import torch

HERE = pathlib.Path(__file__).parent
LLAMA = HERE.parent / "llama"

PLAIN = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
         torch.uint8, torch.bool]
UNTYPED = [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz,
           torch.float8_e5m2fnuz, torch.float8_e8m0fnu]


def bits(dtype, shape, first):
    """Bytes that count up, so that a tensor in the wrong place shows; no truth value but 0 and 1."""
    size = torch.empty(shape, dtype=dtype, device="meta").nbytes
    data = torch.arange(first, first + size, dtype=torch.int64) % (2 if dtype == torch.bool else 251)
    return data.to(torch.uint8).view(dtype).reshape(shape)


def state():
    """Every type, and every way for a tensor to lie in a storage that leaves its elements in order."""
    tensors = collections.OrderedDict()
    for i, dtype in enumerate(PLAIN + UNTYPED):
        tensors[f"of.{str(dtype).removeprefix('torch.')}"] = bits(dtype, (2, 3), 7 * i)
    tensors["scalar"] = torch.tensor(1.5)
    tensors["empty"] = torch.empty(0, 3)
    tied = bits(torch.float32, (4, 3), 100)
    tensors["embed.weight"] = tied
    tensors["head.weight"] = tied
    tensors["rows"] = tied[1:3]
    tensors["row"] = tied[2]
    tensors["column of one row"] = bits(torch.float16, (1, 6), 30).t()
    tensors["one column"] = torch.as_strided(bits(torch.float32, (8,), 60), (3, 1), (1, 5), 2)
    tensors["parameter"] = torch.nn.Parameter(bits(torch.float32, (2,), 21))
    marked = torch.nn.Parameter(bits(torch.float32, (2,), 22))
    marked.marked = {"dim": 0, "wide": True, "scale": 0.5, "large": 1 << 40, "very large": 1 << 80}
    tensors["marked parameter"] = marked
    tensors["ä \" \\"] = bits(torch.uint8, (1,), 5)
    tensors._metadata = collections.OrderedDict({"": {"version": 1}, "embed": {"sizes": [torch.Size([4, 3]), None]}})
    return tensors


def rezip(source, target, change):
    """The same entries, each passed through change(name, data) -> (data, compression)."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for entry in archive.infolist():
            data, compression = change(entry.filename, archive.read(entry))
            copy.writestr(zipfile.ZipInfo(entry.filename), data, compression)


class Evil:
    def __reduce__(self):
        return os.system, ("echo run",)


def refused():
    folder = HERE / "refused"
    folder.mkdir(exist_ok=True)
    plain = {"weight": torch.ones(2, 3)}
    torch.save({"weight": torch.ones(2, 3), "turned": torch.ones(2, 3).t()}, folder / "transposed.bin")
    torch.save({"weight": torch.ones(4, 4)[:, :2]}, folder / "columns.bin")
    torch.save({"model": plain, "step": 3}, folder / "nested.bin")
    torch.save([torch.ones(2)], folder / "list.bin")
    torch.save(torch.nn.Linear(1, 1), folder / "module.bin")
    torch.save({"weight": torch.ones(2), "optimizer": Evil()}, folder / "os_system.bin")
    torch.save({"weight": torch.ones(2), "optimizer": Evil()}, folder / "os_system_protocol_4.bin", pickle_protocol=4)
    torch.save({"weight": torch.ones(2, dtype=torch.complex64)}, folder / "complex.bin")
    torch.save({"weight": torch._neg_view(torch.ones(2))}, folder / "negative.bin")
    torch.save(plain, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), folder / "torchscript.bin")
    (folder / "pickle.bin").write_bytes(pickle.dumps({"weight": [1.0]}))
    source = HERE / "protocol_2.bin"
    rezip(source, folder / "deflated.bin",
          lambda name, data: (data, zipfile.ZIP_DEFLATED if name.endswith("data/1") else zipfile.ZIP_STORED))
    rezip(source, folder / "big_endian.bin",
          lambda name, data: (b"big" if name.endswith("byteorder") else data, zipfile.ZIP_STORED))
    rezip(source, folder / "short_storage.bin",
          lambda name, data: (data[:-1] if name.endswith("data/1") else data, zipfile.ZIP_STORED))
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(folder / "no_storage.bin", "w") as copy:
        for entry in archive.infolist():
            if not entry.filename.endswith("data/3"):
                copy.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry))
    with zipfile.ZipFile(folder / "other_zip.bin", "w") as archive:
        archive.writestr("README.txt", "hello")
    for path in folder.iterdir():  # torch.load's own opinion of the dangerous ones
        if path.name.startswith("os_system"):
            try:
                torch.load(path, weights_only=True)
                raise SystemExit(f"{path} is not refused")
            except pickle.UnpicklingError:
                pass


def zip64():
    """What lies around a storage of more than 4 GiB, and where: the test makes a sparse file of it again."""
    large = 4 * 2**30 + 4096
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "zip64.bin")
        torch.save({"before": bits(torch.float32, (3,), 1), "large": torch.zeros(large, dtype=torch.uint8),
                    "after": bits(torch.float32, (3,), 2)}, path)
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo("zip64/data/1")
        with open(path, "rb") as file:
            file.seek(entry.header_offset + 26)
            lengths = file.read(4)
            begin = entry.header_offset + 30 + lengths[0] + 256 * lengths[1] + lengths[2] + 256 * lengths[3]
            file.seek(0)
            (HERE / "zip64.head").write_bytes(file.read(begin))
            file.seek(begin + large)
            (HERE / "zip64.tail").write_bytes(file.read())


def llama():
    """Two checkpoints of ../llama as pytorch_model.bin."""
    shutil.rmtree(HERE / "llama", ignore_errors=True)
    single, sharded = HERE / "llama/single", HERE / "llama/sharded"
    single.mkdir(parents=True)
    tensors = safetensors.torch.load_file(LLAMA / "tied_stored_twice/model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    torch.save(tensors, single / "pytorch_model.bin")
    sharded.mkdir()
    index = json.loads((LLAMA / "sharded/model.safetensors.index.json").read_text())
    name = lambda file: file.replace("model-", "pytorch_model-").replace(".safetensors", ".bin")
    for file in sorted(set(index["weight_map"].values())):
        torch.save(safetensors.torch.load_file(LLAMA / "sharded" / file), sharded / name(file))
    index["weight_map"] = {tensor: name(file) for tensor, file in index["weight_map"].items()}
    (sharded / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    tensors = state()
    for protocol in range(2, 6):
        torch.save(tensors, HERE / f"protocol_{protocol}.bin", pickle_protocol=protocol)
    torch.save(dict(tensors), HERE / "dict.bin")
    # safetensors has no shared storages: what each tensor is, one by one.
    safetensors.torch.save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()},
                                HERE / "expected.safetensors", {"format": "pt"})
    refused()
    llama()
    zip64()
