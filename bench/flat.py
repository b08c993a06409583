#!/usr/bin/env python3
"""bench/flat.py --config apps/configs/fashion_mnist.toml: is the cost of an image the same in small and large batches, and in
small and large data sets?

Two tables: `mae_bench step` at batches 8, 16, 32, ... up to the largest that fits, and at one batch with the loader on
data sets of 10^3 to 10^6 random images. Sizes take turns, A B C A B C; each turn is a process of its own, so that one
size is in memory at a time. Words behind -- go to mae_bench: options of the model. docs/benchmarking.md has more.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
import side_by_side  # noqa: E402
import step_report  # noqa: E402
from workers import Worker, WorkerError  # noqa: E402

FIRST_BATCH = 8

# ---- what is measured -----------------------------------------------------------------------------------------------


def batches_up_to(most):
    """Powers of two."""
    batches = [FIRST_BATCH]
    while 2 * batches[-1] <= most:
        batches.append(2 * batches[-1])
    return batches


def largest_batch(arguments):
    """Images that the device holds at once, as `mae plan` says."""
    program = pathlib.Path(arguments.program).with_name("mae")
    words = ["--device", arguments.device, "--dtype", arguments.dtype, "--batch", "1", "--micro-batch", "0"]
    command = [program, "plan", *arguments.model, *arguments.options, *words, "--data-size", "1", "--json"]
    try:
        plan = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise WorkerError(f"{' '.join(map(str, command))}: {error}; mae stands beside --program") from error
    return plan["run"]["largest_batch"]


def bytes_of(sizes, images):
    """Of the files with so many images each, of the model's size, in u8."""
    return sum(images) * sizes["image_height"] * sizes["image_width"] * sizes["channels"]


def write_images(folder, images, sizes):
    """A data set of random images in IDX format; the same bytes each time."""
    folder.mkdir()
    bits, left = random.Random(images), bytes_of(sizes, [images])
    shape = (images, sizes["image_height"], sizes["image_width"], sizes["channels"])
    with open(folder / "train-images-idx4-ubyte", "wb") as file:
        file.write(bytes([0, 0, 8, len(shape)]) + struct.pack(">IIII", *shape))
        while left > 0:
            left -= file.write(bits.randbytes(min(left, 1 << 22)))


def require_room(folder, sizes, images):
    needed, free = bytes_of(sizes, images), shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        raise WorkerError(
            f"the data sets take {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB: --folder, or fewer --images"
        )


def turn(arguments, words):
    """What the process said when it was ready, and its seconds a step."""
    warm_up = ["--warm-up", "1" if arguments.device == "cpu" else "4"]  # a GPU's graphs are captured in these
    common = ["--device", arguments.device, "--dtype", arguments.dtype, "--micro-batch", "0", *warm_up]
    command = [arguments.program, "step", "--serve", *arguments.model, *arguments.options, *common, *words]
    worker = Worker(f"mae.cu {' '.join(map(str, words))}", command, side_by_side.environment(arguments))
    try:
        ready = worker.ready()
        seconds = worker.run(side_by_side.steps_a_round(worker, arguments.seconds))
        worker.finish()
    finally:
        worker.kill()
    return ready, seconds


def in_turns(arguments, sizes, what, cases, words_of):
    """An entry a case, {"batch": .., "images": ..}, the first of which the others are held against."""
    rounds, ready = [[] for _ in cases], [[] for _ in cases]
    for number in range(arguments.rounds):
        for at, case in enumerate(cases):
            print(f"flat: round {number + 1}, {what} {case[what]}", file=sys.stderr, flush=True)
            said, seconds = turn(arguments, words_of(case))
            rounds[at].append(seconds)
            ready[at].append(said)
    first = an_image(rounds[0], cases[0]["batch"])
    return [entry(case, sizes["flops"], *of, first) for case, *of in zip(cases, rounds, ready)]


# ---- what is made of it ---------------------------------------------------------------------------------------------


def an_image(rounds, batch):
    return [[second / batch for second in seconds] for seconds in rounds]


def entry(case, flops, rounds, ready, first):
    """of_first: ms an image by those of the first case, round by round."""
    found = {**case, **step_report.times(rounds, case["batch"], flops), "rounds": rounds}
    found["ms_an_image"] = found["median_ms"] / case["batch"]
    found["of_first"] = step_report.ratio(an_image(rounds, case["batch"]), first)
    if "data" in ready[0]:
        for key in ("open_s", "first_batch_s"):
            found[key] = statistics.median(said["data"][key] for said in ready)
    return found


def verdict(entries, what):
    """How flat it is: the farthest median."""
    far = max(entries, key=lambda e: abs(e["of_first"]["median"] - 1))
    return f"farthest from the first: {what} {far[what]:,}, {(far['of_first']['median'] - 1) * 100:+.1f} %"


def table(entries, what):
    timed = "open_s" in entries[0]
    heading = [what, "ms an image", "by the first", "range", "of minima"] + (["opened, s", "first batch, s"] if timed else [])
    lines = ["| " + " | ".join(heading) + " |", "|" + " ---: |" * len(heading)]
    for e in entries:
        of = e["of_first"]
        cells = [f"{e[what]:,}", f"{e['ms_an_image']:.4g}", f"{of['median']:.3f}"]
        cells += [f"{of['low']:.3f} - {of['high']:.3f}", f"{of['of_minima']:.3f}"]
        if timed:
            cells += [f"{e['open_s']:.3f}", f"{e['first_batch_s']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", verdict(entries, what)])


def markdown(record):
    machine, batches, images = record["machine"], record["batches"], record.get("images")
    capped = "; --most-batch left out the larger ones" if batches["capped"] else ""
    text = [
        f"{record['model']['model']}, {record['device']}, {record['dtype']}, {record['threads']} threads; "
        f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f} before; "
        f"{record['date']}; commit {record['commit']}; {record['rounds']} rounds",
        f"images that lie ready; the largest batch that fits is {batches['largest']:,}{capped}",
        table(batches["results"], "batch"),
    ]
    if images:
        workers = f"{images['workers']} worker{'s' * (images['workers'] != 1)}"
        text += [f"the loader, {workers}, on data sets of so many images, batch {images['batch']}"]
        text += [table(images["results"], "images")]
    return "\n\n".join(text)


# ---- the program ----------------------------------------------------------------------------------------------------


def parse(words):
    words, options = side_by_side.cut_options(words)
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--model", type=lambda v: ("--model", v), help="a preset")
    add("--config", dest="model", type=lambda v: ("--config", v), help="a file of apps/configs")
    add("--most-batch", type=int, default=1 << 30, help="the largest that is tried, even where more would fit")
    add("--images", default="1000,10000,100000,1000000", help="sizes of the data sets")
    add("--batch", type=int, default=128, help="for the data sets")
    add("--workers", type=int, default=1, help="threads of the loader")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--dtype", choices=("f32", "bf16"), help="f32 on the CPU, bf16 on a GPU")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=5, help="of one size in one round")
    add("--program", default="build/release/mae_bench", help="with mae beside it")
    add("--folder", default=tempfile.gettempdir(), help="for the data sets, which are removed at the end")
    for name in ("--json", "--markdown"):
        add(name, metavar="FILE")
    arguments = parser.parse_args(words)
    arguments.options = options
    check(parser, arguments)
    return arguments


def check(parser, arguments):
    if not arguments.model:
        parser.error("which model? --config apps/configs/fashion_mnist.toml, or --model NAME")
    try:
        arguments.images = [int(number) for number in arguments.images.split(",")]
    except ValueError:
        parser.error(f'--images "{arguments.images}" should be numbers, such as 1000,10000')
    if arguments.batch < 1 or min(arguments.images) < arguments.batch:
        parser.error(f"each of --images fills a --batch of {arguments.batch} at least")
    if arguments.most_batch < FIRST_BATCH or arguments.rounds < 3 or arguments.seconds <= 0 or arguments.threads < 1:
        parser.error(f"--most-batch is {FIRST_BATCH} at least, --rounds 3, --threads 1, --seconds more than 0")
    arguments.dtype = arguments.dtype or ("bf16" if arguments.device == "cuda" else "f32")


def measure_batches(arguments, sizes):
    largest = largest_batch(arguments)
    if largest < FIRST_BATCH:
        raise WorkerError(f"the device holds {largest} images at once, and a batch of {FIRST_BATCH} is the first")
    cases = [{"batch": batch} for batch in batches_up_to(min(largest, arguments.most_batch))]
    results = in_turns(arguments, sizes, "batch", cases, lambda case: ["--batch", case["batch"]])
    return {"largest": largest, "capped": 2 * cases[-1]["batch"] <= largest, "results": results}


def measure_images(arguments, sizes):
    require_room(arguments.folder, sizes, arguments.images)
    with tempfile.TemporaryDirectory(prefix="flat", dir=arguments.folder) as folder:
        for images in arguments.images:
            write_images(pathlib.Path(folder) / str(images), images, sizes)
        common = ["--batch", arguments.batch, "--input", "loader", "--workers", arguments.workers, "--data"]
        cases = [{"batch": arguments.batch, "images": images} for images in arguments.images]
        results = in_turns(
            arguments, sizes, "images", cases, lambda case: [*common, pathlib.Path(folder) / str(case["images"])]
        )
    return {"batch": arguments.batch, "workers": arguments.workers, "results": results}


def write(arguments, record):
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(record, indent=1) + "\n")
    if arguments.markdown:
        pathlib.Path(arguments.markdown).write_text(markdown(record) + "\n")


def main():
    arguments = parse(sys.argv[1:])
    record = {
        "kind": "flat",
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": side_by_side.output_of("git", "describe", "--always", "--dirty") or "unknown",
        "machine": side_by_side.machine(arguments.device),
        **{key: getattr(arguments, key) for key in "device dtype threads rounds seconds options".split()},
    }
    try:
        record["model"] = side_by_side.described(arguments, arguments.model)
        require_room(arguments.folder, record["model"], arguments.images)  # before anything is timed
        record["batches"] = measure_batches(arguments, record["model"])
        write(arguments, record)  # what was measured is kept, whatever happens next
        record["images"] = measure_images(arguments, record["model"])
    except WorkerError as error:
        sys.exit(f"flat: {error}")
    print(markdown(record))
    write(arguments, record)


if __name__ == "__main__":
    main()
