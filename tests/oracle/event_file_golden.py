#!/usr/bin/env python3
"""Makes tests/goldens/event_file/scalars.tfevents, an event file written by TensorBoard's own writer and messages, for our
writer to equal byte for byte; and reads one back:

    python tests/oracle/event_file_golden.py golden tests/goldens/event_file
    python tests/oracle/event_file_golden.py read FOLDER

The second prints what TensorBoard would show of a folder, one line a scalar. Needs the package `tensorboard`.
"""
import json
import sys
from importlib.metadata import version
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

TIME = 1790000000.25
# step, seconds after TIME, scalars
RECORDS = [
    (0, 0.0, {"loss/validation": 3.5}),
    (1, 0.5, {"loss/train": 2.75, "learning_rate": 1e-4}),
    (300, 1.5, {"loss/train": 0.0, "gradient_norm": 1e-30}),
    (10**12, 2.0, {"loss/train": float("nan"), "tokens": 5.0e9}),
]


def golden(directory):
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "scalars.tfevents", "wb") as file:
        writer = RecordWriter(file)
        events = [
            Event(wall_time=TIME, file_version="brain.Event:2"),
            Event(wall_time=TIME, step=7, session_log=SessionLog(status=SessionLog.START)),
        ]
        for step, seconds, scalars in RECORDS:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
            events.append(Event(wall_time=TIME + seconds, step=step, summary=Summary(value=values)))
        for event in events:
            writer.write(event.SerializeToString())
        writer.flush()
    provenance = {"made_by": "tests/oracle/event_file_golden.py", "tensorboard": version("tensorboard")}
    (directory / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    for tag in sorted(accumulator.Tags()["scalars"]):
        for event in accumulator.Scalars(tag):
            print(tag, event.step, repr(event.wall_time), repr(event.value))


if __name__ == "__main__":
    {"golden": golden, "read": read}[sys.argv[1]](Path(sys.argv[2]))
