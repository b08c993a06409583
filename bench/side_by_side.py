#!/usr/bin/env python3
"""bench/side_by_side.py --model mae_vit_base_patch16 --batch 8 --contenders eager,compile: a whole training step of ours and
of PyTorch's, in turns on one device, and how many times as long PyTorch takes.

Each contender is a process that warms up alone; then all of them take turns, A B C A B C, a few seconds each, while the
others wait. Words behind -- go to mae_bench: options of the model. docs/benchmarking.md explains the columns.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here / "peers")]
import step_report  # noqa: E402
from step import CONTENDERS, SDPA  # noqa: E402
from workers import Worker, WorkerError  # noqa: E402


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine(device):
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    query = ("nvidia-smi", "--query-gpu=name,driver_version,clocks.sm", "--format=csv,noheader")
    return {
        "cpu": names[0] if names else os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],  # before anything of ours ran
        "gpu": output_of(*query) if device == "cuda" else "",
    }


# ---- contenders -----------------------------------------------------------------------------------------------------


def described(arguments, model):
    """The sizes of a model, ("--model", name) or ("--config", file), as mae_bench prints them; or a file of --sizes."""
    if model[0] == "--sizes":
        return json.loads(pathlib.Path(model[1]).read_text())
    command = [arguments.program, "step", "--describe", *model, *arguments.options]
    try:
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise WorkerError(f"{' '.join(command)}: {error}; --program names mae_bench") from error


def command_of(arguments, name, model, sizes):
    common = ["--batch", arguments.batch, "--device", arguments.device, "--dtype", arguments.dtype]
    if name == step_report.REFERENCE:
        return [arguments.program, "step", "--serve", *model, *arguments.options, *common]
    contender, _, sdpa = name.partition(":")
    words = [arguments.python, here / "peers" / "step.py", "--contender", contender, "--sdpa", sdpa or "auto"]
    return words + [*common, "--threads", arguments.threads, "--model-json", json.dumps(sizes)]


def environment(arguments):
    """The same for all: so many threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "PYTHONDONTWRITEBYTECODE": "1"}


def started(worker):
    """What it says when it is warm. A peer that ends instead, for want of memory perhaps, has refused."""
    try:
        return worker.ready()
    except WorkerError as error:
        if worker.name == step_report.REFERENCE:
            raise
        return {"refuses": str(error)}


def steps_a_round(worker, seconds):
    """As many as take about so long; found by steps that do not count."""
    took = worker.run(1)[0]
    if took < seconds / 8:
        took = statistics.median(worker.run(5))
    return max(1, round(seconds / took))


def interleave(arguments, workers):
    """Rounds of seconds a step, and the steps of a round, by name."""
    steps = {worker.name: steps_a_round(worker, arguments.seconds) for worker in workers}
    rounds = {worker.name: [] for worker in workers}
    for _ in range(arguments.rounds):
        for worker in workers:
            rounds[worker.name].append(worker.run(steps[worker.name]))
    return rounds, steps


def session(arguments, names, model, sizes):
    """Runs these together: name -> what it said of itself, its rounds and its peak; or why it refuses."""
    found, workers, running = {}, [], []
    try:
        for name in names:
            print(f"side_by_side: {name} warms up", file=sys.stderr, flush=True)
            worker = Worker(name, command_of(arguments, name, model, sizes), environment(arguments))
            workers.append(worker)
            found[name] = {**started(worker), "contender": name}
            if "refuses" not in found[name]:
                running.append(worker)
        rounds, steps = interleave(arguments, running)
        for worker in running:
            found[worker.name].update(
                rounds=rounds[worker.name], steps_a_round=steps[worker.name], peak_bytes=worker.finish()
            )
    finally:
        for worker in workers:
            worker.kill()
    return found


def sessions_of(arguments):
    """Who runs with whom: all together, or each peer alone with the first."""
    names = arguments.contenders
    return [[names[0], peer] for peer in names[1:]] if arguments.pairs and len(names) > 1 else [names]


def joined(batch, flops, found, reference):
    """Of all sessions: a contender's rounds of all of them, but its ratio from the one in which it met the reference."""
    contenders = {}
    for entries in found:
        for name, entry in entries.items():
            if name in contenders and "rounds" in entry and "rounds" in contenders[name]:  # the reference, again
                contenders[name]["rounds"] += entry["rounds"]
                contenders[name]["peak_bytes"] = max(contenders[name]["peak_bytes"], entry["peak_bytes"])
                continue
            contenders[name] = {**entry, "rounds": list(entry["rounds"])} if "rounds" in entry else dict(entry)
            if "rounds" in entry and name != reference and "rounds" in entries.get(reference, {}):
                contenders[name]["ratio"] = step_report.ratio(entry["rounds"], entries[reference]["rounds"])
    for entry in contenders.values():
        if "rounds" in entry:
            entry.update(step_report.times(entry["rounds"], batch, flops))
    return list(contenders.values())


def run_model(arguments, model):
    sizes = described(arguments, model)
    found = [session(arguments, names, model, sizes) for names in sessions_of(arguments)]
    timed = [name for entries in found for name, entry in entries.items() if "rounds" in entry]
    reference = timed[0] if timed else arguments.contenders[0]
    contenders = joined(arguments.batch, sizes["flops"], found, reference)
    return {"model": sizes, "batch": arguments.batch, "reference": reference, "contenders": contenders}


# ---- the program ----------------------------------------------------------------------------------------------------


def cut_options(words):
    """Words before -- and behind it."""
    cut = words.index("--") if "--" in words else len(words)
    return words[:cut], words[cut + 1 :]


def parse(words):
    words, options = cut_options(words)
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--model", dest="models", action="append", type=lambda v: ("--model", v), default=[], help="again for more")
    add("--config", dest="models", action="append", type=lambda v: ("--config", v), help="a file of apps/configs")
    add(
        "--sizes",
        dest="models",
        action="append",
        type=lambda v: ("--sizes", v),
        help="a file of what mae_bench step --describe has printed: peers alone, without mae_bench",
    )
    add("--batch", type=int, required=True)
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--dtype", choices=("f32", "bf16"), help="f32 on the CPU, bf16 on a GPU")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add(
        "--contenders",
        default="eager,compile",
        help=f"of {', '.join(CONTENDERS)}; compile:flash forces one of SDPA's backends: {', '.join(SDPA[1:])}",
    )
    add("--pairs", action="store_true", help="ours and one peer at a time: where memory does not hold all")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=5, help="of one contender in one round")
    add("--program", default="build/release/mae_bench")
    add("--python", default=os.environ.get("MAE_PYTHON", sys.executable), help="one that has PyTorch")
    for name in ("--json", "--markdown", "--picture"):
        add(name, metavar="FILE")
    arguments = parser.parse_args(words)
    arguments.options = options
    check(parser, arguments)
    return arguments


def check(parser, arguments):
    if not arguments.models:
        parser.error("which model? --model mae_vit_base_patch16, or --config FILE")
    names = [name for name in arguments.contenders.split(",") if name]
    for name in names:
        contender, colon, sdpa = name.partition(":")
        if contender not in CONTENDERS or (colon and sdpa not in SDPA[1:]):
            parser.error(f'no contender "{name}": {", ".join(CONTENDERS)}, with :{", :".join(SDPA[1:])} or without')
    if arguments.rounds < 3 or arguments.batch < 1 or arguments.threads < 1 or arguments.seconds <= 0:
        parser.error("--rounds is 3 at least, --batch and --threads 1, and --seconds more than 0")
    if arguments.picture and not arguments.picture.endswith(".svg"):
        parser.error(f"{arguments.picture}: the picture is an SVG, give it a name that ends in .svg")
    ours = all(model[0] != "--sizes" for model in arguments.models)
    arguments.contenders = ([step_report.REFERENCE] if ours else []) + list(dict.fromkeys(names))
    arguments.dtype = arguments.dtype or ("bf16" if arguments.device == "cuda" else "f32")


def write(arguments, record):
    text = {"json": json.dumps(record, indent=1) + "\n", "markdown": step_report.markdown(record)}
    text["picture"] = step_report.picture(record)
    for what, content in text.items():
        if getattr(arguments, what):
            pathlib.Path(getattr(arguments, what)).write_text(content)


def main():
    arguments = parse(sys.argv[1:])
    record = {
        "kind": "side_by_side",
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": output_of("git", "describe", "--always", "--dirty") or "unknown",
        "machine": machine(arguments.device),
        **{key: getattr(arguments, key) for key in "device dtype threads rounds seconds pairs options".split()},
        "runs": [],
    }
    try:
        for model in arguments.models:
            record["runs"].append(run_model(arguments, model))
            print(step_report.plain(record, record["runs"][-1]), flush=True)
            write(arguments, record)  # what was measured is kept, whatever happens next
    except WorkerError as error:
        sys.exit(f"side_by_side: {error}")
    print(step_report.origin(record))


if __name__ == "__main__":
    main()
