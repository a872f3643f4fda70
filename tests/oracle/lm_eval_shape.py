#!/usr/bin/env python3
"""Writes tests/goldens/eval/lm_eval_shape.json: the keys of a results file of lm-eval and the types of what they hold, from
a run of its hf model on a text as a loglikelihood_rolling task. TASK stands for the task's name.

    pip install lm_eval transformers torch
    python tests/oracle/lm_eval_shape.py demo/kjv-mha tests/goldens/eval/text.txt
"""
import json
import pathlib
import subprocess
import sys
import tempfile

TASK = """task: TASK
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/text.jsonl}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
metadata: {version: 1.0}
"""


def run(model, text, folder, window=256):
    """The results file of lm-eval's own command on a text, as one document."""
    (folder / "text.jsonl").write_text(json.dumps({"text": text.read_text()}) + "\n")
    (folder / "task.yaml").write_text(TASK.replace("FOLDER", str(folder)))
    subprocess.run([sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args",
                    f"pretrained={model},dtype=float32,max_length={window}", "--tasks", "TASK", "--include_path", folder,
                    "--device", "cpu", "--batch_size", "1", "--output_path", folder / "out"], check=True)
    return json.loads(next((folder / "out").rglob("results_*.json")).read_text())


def shape(value, path, found):
    found[path] = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number",
                   type(None): "null"}[type(value)]
    if isinstance(value, dict):
        for key, inner in value.items():
            shape(inner, f"{path}/{key}", found)


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--of":  # a results file that is there already, and its task
        results = json.loads(pathlib.Path(sys.argv[2]).read_text().replace(f'"{sys.argv[3]}"', '"TASK"'))
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = run(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), pathlib.Path(folder))
    found = {}
    shape(results, "", found)
    golden = {"made_by": "tests/oracle/lm_eval_shape.py", "lm_eval": results.get("lm_eval_version"), "types": found}
    pathlib.Path("tests/goldens/eval/lm_eval_shape.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
