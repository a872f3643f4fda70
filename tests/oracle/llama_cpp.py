"""llama.cpp as an oracle: its source tree, built, and what its programs say of a GGUF file.

A tree comes with the sdist of llama-cpp-python:
    pip download --no-deps --no-binary :all: llama-cpp-python && tar xf llama_cpp_python-*.tar.gz
    cd llama_cpp_python-*/vendor/llama.cpp
    cmake -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF
    ninja -C build llama llama-perplexity llama-tokenize
"""
import pathlib
import re
import subprocess
import tempfile

import numpy

SOURCE = pathlib.Path(__file__).with_name("llama_cpp_logits.cc")


class LlamaCpp:
    def __init__(self, tree):
        self.tree = pathlib.Path(tree).resolve()
        self.binaries = self.tree / "build/bin"
        self.logits_program = self.tree / "build/regroup_logits"
        if not self.logits_program.exists() or self.logits_program.stat().st_mtime < SOURCE.stat().st_mtime:
            subprocess.run(["g++", "-O2", "-std=c++17", f"-I{self.tree}/include", f"-I{self.tree}/ggml/include", SOURCE, "-o",
                            self.logits_program, f"-L{self.binaries}", "-lllama", "-lggml", "-lggml-base",
                            f"-Wl,-rpath,{self.binaries}"], check=True)

    def logits(self, gguf, ids_BT, scratch):
        """[B, T, V]"""
        ids_file, out = pathlib.Path(scratch) / "ids.i32", pathlib.Path(scratch) / "logits.f32"
        numpy.asarray(ids_BT, dtype=numpy.int32).tofile(ids_file)
        self._run([self.logits_program, gguf, ids_file, str(ids_BT.shape[1]), out])
        return numpy.fromfile(out, dtype=numpy.float32).reshape(*ids_BT.shape, -1)

    def perplexity(self, gguf, text_file, window):
        """What llama-perplexity prints. It does not wait for its logger at its end: once more where the last line is lost."""
        for _ in range(20):
            result = self._run([self.binaries / "llama-perplexity", "-m", gguf, "-f", text_file, "-c", str(window), "-b", str(window),
                                "-ctk", "f32", "-ctv", "f32", "-fa", "off", "-t", "2"])
            if printed := re.search(r"PPL = ([0-9.]+)", result.stdout + result.stderr):
                return float(printed.group(1))
        raise SystemExit(f"llama-perplexity prints no perplexity:\n{result.stderr[-2000:]}")

    def tokenize(self, gguf, text_file):
        result = self._run([self.binaries / "llama-tokenize", "-m", gguf, "-f", text_file, "--ids", "--no-parse-special",
                            "--log-disable"])
        return [int(word) for word in re.search(r"\[(.*)\]", result.stdout, re.DOTALL).group(1).split(",")]

    @staticmethod
    def _run(command):
        # Into files: the last lines of its logger, which it does not wait for, do not reach a pipe.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            result = subprocess.run(command, stdout=out, stderr=err)
            for file in (out, err):
                file.seek(0)
            result.stdout, result.stderr = out.read(), err.read()
        if result.returncode != 0:
            raise SystemExit(f"{command[0]} failed:\n{result.stderr[-2000:]}")
        return result
