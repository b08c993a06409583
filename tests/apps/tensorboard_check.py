#!/usr/bin/env python3
"""By hand: TensorBoard's own reader on the event file of a run, every value beside the run's logs.

    python3 tests/apps/tensorboard_check.py RUN [FOLDER]    needs `pip install tensorboard`

FOLDER: where the event file is; RUN/tensorboard without it. Reads each tag of apps/tensorboard.h, compares steps and
values (as f32, which is what an event file holds), and ends with 1 where one differs, is missing or is there twice.
"""
import json
import math
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def expected(run):
    """tag -> [(x, value)]"""
    tags = {}

    def add(tag, x, value):
        if value is not None:
            tags.setdefault(tag, []).append((x, f32(value)))

    command = next(line for line in (run / "config.toml").read_text().splitlines() if line.startswith('"command"'))
    pretraining = command.split('"')[3].split()[1] == "pretrain"
    times = {line["step"]: line for line in lines(run / "timing.jsonl")}
    for line in lines(run / "log.jsonl"):
        step, x, skipped = line["step"], int(line["epoch"] * 1000), line.get("skipped", False)
        loss, norm = (None, None) if skipped else (line["loss"], line["gradient_norm"])
        add("train_loss" if pretraining else "loss", x, loss)
        add("lr", x, line["lr"])
        add("step/loss", step, loss)
        add("step/lr", step, line["lr"])
        add("step/gradient_norm", step, norm)
        for key in ("seconds", "data_wait_seconds"):
            add("step/" + key, step, times.get(step, {}).get(key))
    official = {"top1": "perf/test_acc1", "top5": "perf/test_acc5", "validation_loss": "perf/test_loss"}
    for line in lines(run / "evaluations.jsonl"):
        for key, value in line.items():
            if key in ("step", "epoch"):
                continue
            add("evaluation/" + key, line["step"], value)
            if key in official and not pretraining:
                add(official[key], math.ceil(line["epoch"]) - 1, value)
    return tags


def main():
    run = pathlib.Path(sys.argv[1])
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else run / "tensorboard"
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    reader.Reload()
    wanted, failures = expected(run), 0
    found = set(reader.Tags()["scalars"])
    for tag in sorted(found ^ set(wanted)):
        failures += 1
        print(f"{tag}: {'missing' if tag in wanted else 'not expected'}")
    for tag in sorted(found & set(wanted)):
        events = reader.Scalars(tag)
        equal = [(e.step, e.value) for e in events] == wanted[tag]
        rising = all(a.wall_time <= b.wall_time for a, b in zip(events, events[1:]))
        failures += not equal or not rising
        print(f"{tag}: {len(events)} values, x {events[0].step} to {events[-1].step}: "
              f"{'equal' if equal else 'DIFFERENT'}{'' if rising else ', wall times that fall'}")
    for tag in reader.Tags()["images"]:
        for image in reader.Images(tag):
            png = image.encoded_image_string
            size = struct.unpack(">II", png[16:24])
            failures += size != (image.width, image.height)
            print(f"{tag}: a picture at {image.step}, {image.width} x {image.height}, {len(png)} bytes")
    print("all equal" if failures == 0 else f"{failures} differ")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
