#!/usr/bin/env python3
"""bench/peers/step.py --contender eager --model-json '{...}' --batch 8: one contender of bench/side_by_side.py, a process
that trains an MAE in PyTorch when it is told to.

It builds, compiles and warms up, and writes one line {"ready": true, ...}, or {"refuses": "why"} and ends. Then every line
"run N" on its input is N steps, answered by {"seconds": [one a step]}; at the end of its input it writes {"peak_bytes": N}.
A step is forward, backward and update, from images that lie ready on the device. docs/benchmarking.md has the contenders.
"""

import argparse
import json
import os
import sys

CONTENDERS = ("official", "eager", "hf", "compile", "compile-trim")
SDPA = ("auto", "flash", "cudnn", "efficient", "math")


def prepare(arguments, details):
    if arguments.device == "cpu" and arguments.sdpa in ("cudnn", "efficient"):
        raise ValueError(f"SDPA's {arguments.sdpa} is for GPUs")
    if arguments.contender == "official" and arguments.sdpa != "auto":
        raise ValueError("the official recipe has no SDPA")
    try:
        import torch
        import trainer
    except ImportError as error:
        raise ImportError(f"{error}: PyTorch 2.3 or newer is needed") from error
    sys.path.pop(0)  # this folder: transformers would take our kernels.py for a package of that name
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("PyTorch finds no GPU")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    details.update(torch=torch.__version__, device=name, threads=torch.get_num_threads())
    details["product_gflop_per_s"] = trainer.product_rate(arguments)
    found = trainer.Trainer(arguments, json.loads(arguments.model_json), details)
    found.warm_up(details)
    return found


def serve(arguments, say):
    details = {"contender": arguments.contender, "sdpa": arguments.sdpa}
    try:
        trainer = prepare(arguments, details)
    except Exception as error:  # a peer that cannot do this work is a result, whatever it throws
        words = str(error) if isinstance(error, (ValueError, ImportError)) else f"{type(error).__name__}: {error}"
        say({**details, "refuses": " ".join(words.split())[:600]})
        return
    say({"ready": True, **details})
    for line in iter(sys.stdin.readline, ""):
        say({"seconds": trainer.run(int(line.split()[1]))})
    say({"peak_bytes": trainer.peak_bytes()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--contender", choices=CONTENDERS, required=True)
    parser.add_argument("--sdpa", choices=SDPA, default="auto")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model-json", required=True, help="what mae_bench step --describe prints")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: as PyTorch likes")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--compile-mode", help="of torch.compile; max-autotune on a GPU, default on the CPU")
    arguments = parser.parse_args()
    # The answers have standard output for themselves: what libraries print goes to the errors.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    serve(arguments, lambda answer: print(json.dumps(answer), file=answers, flush=True))


if __name__ == "__main__":
    main()
