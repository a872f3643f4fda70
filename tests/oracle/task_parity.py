#!/usr/bin/env python3
"""Compares `regroup eval --tasks` with lm-eval, example by example: its own task definitions (prompts, choices, metrics), its HFLM
and its evaluator, on the same files and the same checkpoint. Prints a line a task; exit code 1 where a decision differs that is
no tie (two choices whose likelihoods differ by less than --tie), or a likelihood by more than --tolerance nats.

    python -m venv peer && peer/bin/pip install torch transformers==5.24.0 lm_eval==0.4.13 accelerate sentencepiece
    cmake --build --preset release --target regroup
    peer/bin/python tests/oracle/task_parity.py MODEL --tasks piqa=FILE.jsonl ... --window 512 [--limit 500]

With --golden FILE it writes lm-eval's values there instead (tests/goldens/eval/tasks); with --expected FILE it compares with such a file
without running lm-eval again.
"""
import argparse
import importlib.metadata
import json
import pathlib
import subprocess
import sys
import tempfile

import lm_eval
from lm_eval.api.metrics import mean_stderr
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINITIONS = pathlib.Path(lm_eval.__file__).parent / "tasks"
YAML = {"lambada_openai": "lambada/lambada_openai.yaml", "piqa": "piqa/piqa.yaml", "arc_easy": "arc/arc_easy.yaml",
        "winogrande": "winogrande/default.yaml"}


def data_set_record(name, record):
    """A record in the fields of the data set that lm-eval's definition is for; one of llm-foundry's is taken apart."""
    if name == "lambada_openai" and "text" not in record:
        return {"text": record["context"] + " " + record["continuation"]}
    if name == "piqa" and "goal" not in record:
        return {"goal": record["query"].removeprefix("Question: ").removesuffix("\n"), "sol1": record["choices"][0],
                "sol2": record["choices"][1], "label": record["gold"]}
    if name == "arc_easy" and "question" not in record:
        labels = [chr(ord("A") + i) for i in range(len(record["choices"]))]
        return {"question": record["query"].removeprefix("Question: "), "answerKey": labels[record["gold"]],
                "choices": {"text": record["choices"], "label": labels}}
    if name == "winogrande" and "sentence" not in record:
        one, other = record["context_options"]
        same = 0
        while same < min(len(one), len(other)) and one[same] == other[same]:
            same += 1
        return {"sentence": f"{one[:same]}_ {record['continuation']}", "option1": one[same:], "option2": other[same:],
                "answer": str(record["gold"] + 1)}
    return record


def lm_eval_task(name, file, limit, scratch):
    records = [data_set_record(name, json.loads(line)) for line in file.read_text().splitlines() if line.strip()]
    data = scratch / f"{name}.jsonl"
    data.write_text("".join(json.dumps(record) + "\n" for record in (records[:limit] if limit else records)))
    config = load_yaml(DEFINITIONS / YAML[name])
    config = {key: value for key, value in config.items()
              if key not in ("tag", "dataset_name", "training_split", "fewshot_split", "test_split", "validation_split")}
    config |= {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}, "test_split": "test"}
    return ConfigurableTask(config=config)


def run_lm_eval(arguments, files, scratch):
    peer = HFLM(pretrained=str(arguments.model), max_length=arguments.window, dtype="float32", device="cpu", batch_size=16)
    tasks = [lm_eval_task(name, file, arguments.limit, scratch) for name, file in files.items()]
    results = lm_eval.simple_evaluate(model=peer, tasks=tasks, bootstrap_iters=0, log_samples=True)
    found = {}
    for name in files:
        samples = sorted(results["samples"][name], key=lambda sample: sample["doc_id"])
        found[name] = []
        for sample in samples:
            answers = [response[0] for response in sample["resps"]]
            example = {"nats": [-float(answer[0]) for answer in answers],
                       **{key: bool(sample[key]) for key in ("acc", "acc_norm") if key in sample}}
            found[name].append(example)
    return found, {name: with_standard_errors(results["results"][name], found[name]) for name in files}


def with_standard_errors(summary, examples):
    """lm-eval's mean_stderr of the accuracies; its evaluator leaves all errors out where none are to be bootstrapped."""
    return summary | {f"{key}_stderr,none": float(mean_stderr([float(example[key]) for example in examples]))
                      for key in ("acc", "acc_norm") if key in examples[0]}


def run_regroup(arguments, files, scratch):
    lines, report = scratch / "examples.jsonl", scratch / "report.json"
    command = [arguments.build / "regroup", "eval", arguments.model, "--tasks", *(f"{name}={file}" for name, file in files.items()),
               "--window", str(arguments.window), "--max-examples", str(arguments.limit), "--per-example", lines, "--json", report,
               "--quiet"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    found = {name: [] for name in files}
    for line in lines.read_text().splitlines():
        example = json.loads(line)
        found[example["task"]].append(example["answers"][0] | {"choices": example["choices"]})
    return found, {task["name"]: task for task in json.loads(report.read_text())["models"][0]["tasks"]}


def is_tie(ours, theirs, key, tie):
    """Two likeliest choices that differ by less than `tie`, per character for acc_norm; of a greedy match nothing is known but
    the decision, so that one is no tie."""
    if len(theirs["nats"]) == 1:
        return False
    sizes = [len(choice["text"]) if key == "acc_norm" else 1 for choice in ours["choices"]]
    best, second, *_ = sorted(nats / size for nats, size in zip(theirs["nats"], sizes))
    return second - best < tie


def compare(name, ours, theirs, summary, report, arguments):
    apart = max(abs(one - other) for mine, its in zip(ours, theirs, strict=True)
                for one, other in zip(mine["nats"], its["nats"], strict=True))
    keys = [key for key in ("acc", "acc_norm") if key in theirs[0]]
    wrong, ties = [], []
    for index, (mine, its) in enumerate(zip(ours, theirs), start=1):
        for key in keys:
            if mine[key] != its[key]:
                (ties if is_tie(mine, its, key, arguments.tie) else wrong).append((key, index))
    errors = [abs((report[key]["share"]["standard_error"] or 0) - summary[f"{key}_stderr,none"]) for key in keys]
    figures = ", ".join(f"{key} {report[key]['share']['value']:.4f} / {summary[f'{key},none']:.4f}" for key in keys)
    if "perplexity" in report:
        ratio = report["perplexity"]["value"] / summary["perplexity,none"]
        figures += f", perplexity {report['perplexity']['value']:.4f} / {summary['perplexity,none']:.4f}"
    else:
        ratio = 1.0
    passed = not wrong and apart < arguments.tolerance and max(errors) < 1e-6 and abs(ratio - 1) < 1e-3
    print(f"{'ok  ' if passed else 'FAIL'} {name}: {len(ours)} examples; ours / lm-eval's: {figures}; every decision but {wrong or 'none'}"
          f" the same, ties {ties or 'none'}; nats within {apart:.1e}, standard errors within {max(errors):.1e}", flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--tasks", nargs="+", required=True, metavar="NAME=FILE")
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--tie", type=float, default=1e-4)
    parser.add_argument("--golden", type=pathlib.Path)
    parser.add_argument("--expected", type=pathlib.Path)
    arguments = parser.parse_args()
    files = {word.split("=", 1)[0]: pathlib.Path(word.split("=", 1)[1]) for word in arguments.tasks}
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        if arguments.expected:
            expected = json.loads(arguments.expected.read_text())
            theirs = expected["examples"]
            summaries = {name: with_standard_errors(summary, theirs[name]) for name, summary in expected["results"].items()}
        else:
            theirs, summaries = run_lm_eval(arguments, files, scratch)
        if arguments.golden:
            arguments.golden.write_text(json.dumps({
                "made_by": "tests/oracle/task_parity.py " + " ".join(sys.argv[1:]),
                "versions": {name: importlib.metadata.version(name) for name in ("lm_eval", "transformers", "torch")},
                "window": arguments.window,
                "examples": theirs,
                "results": {name: {key: value for key, value in summary.items() if isinstance(value, float)}
                            for name, summary in summaries.items()},
            }) + "\n")
            return 0
        ours, reports = run_regroup(arguments, files, scratch)
    passed = [compare(name, ours[name], theirs[name], summaries[name], reports[name], arguments) for name in files]
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
