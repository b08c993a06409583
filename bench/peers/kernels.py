#!/usr/bin/env python3
"""bench/peers/kernels.py [--device cuda] [--json FILE] [--min-time 0.1] [--rounds 5] [--budget S] [--tiny]
[--only TEXT]: the same work as `mae bench kernels`, by PyTorch. --tiny: small sizes, to try the script itself.
--only: names that contain the text.

Random data, inputs in turn so that caches do not serve them, contenders in turn, medians: docs/benchmarking.md. A
contender that refuses, or that this machine cannot compile, is written down with its reason.
"""

import argparse
import datetime
import json
import pathlib
import sys
import time

try:
    import torch
    import torch._dynamo
    import torch._functorch.config
except ImportError as error:
    print(f"bench/peers: {error}: PyTorch is not installed here", file=sys.stderr)
    sys.exit(3)

here = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here.parent)]
import comparisons  # noqa: E402
import timing  # noqa: E402
import work  # noqa: E402


def plan(tiny):
    """name -> function of a device that gives contenders."""
    found = {}
    count = comparisons.PARAMETERS
    small = 1000 if tiny else count
    found[f"adamw N={count}"] = lambda d: work.adamw(d, small)
    found[f"optimizer_path N={count}"] = lambda d: work.optimizer_path(d, small)
    for tokens, queries, heads, size, *_ in comparisons.ATTENTION:
        for batch in comparisons.BATCHES:
            shape = comparisons.attention_shape(batch, tokens, queries, heads, size)
            sizes = (1, tokens, queries, 2, size) if tiny else (batch, tokens, queries, heads, size)
            found[f"attention_forward {shape}"] = lambda d, s=sizes: work.attention(d, False, *s)
            found[f"attention_backward {shape}"] = lambda d, s=sizes: work.attention(d, True, *s)
    for rows, width in comparisons.NORMS:
        sizes = (8 if tiny else rows, width)
        found[f"layernorm_forward R={rows} C={width}"] = lambda d, s=sizes: work.norm(d, False, *s)
        found[f"layernorm_backward R={rows} C={width}"] = lambda d, s=sizes: work.norm(d, True, *s)
    for rows, hidden, width in comparisons.LINEARS:
        sizes = (8, 16, 24) if tiny else (rows, hidden, width)
        found[f"linear_gelu_forward M={rows} N={hidden} K={width}"] = lambda d, s=sizes: work.linear_gelu_forward(d, *s)
        found[f"linear_gelu_backward M={rows} N={hidden} K={width}"] = lambda d, s=sizes: work.linear_gelu_backward(
            d, *s
        )
    for batch, side, patch in comparisons.PIXELS:
        sizes = (2, 32, 8) if tiny else (batch, side, patch)
        found[f"pixel_loss B={batch} H={side} W={side} C=3 P={patch}"] = lambda d, s=sizes: work.pixel_loss(d, *s)
    return found


def ceilings(device, tiny):
    """A large copy and a large product, as `mae bench kernels` measures them."""
    n, side = (1 << 16, 64) if tiny else (1 << 29, 8192)
    a, b = work.random(device, side, side), work.random(device, side, side)
    x = torch.randn(n, device=device)
    y = torch.empty_like(x)
    copy, product = timing.measure({"copy": lambda: [lambda: y.copy_(x)], "product": lambda: [lambda: a @ b]}, 0.1, 3)
    return {
        "copy_gb_per_s": 8 * n / copy["median_us"] * 1e-3,
        "product_gflop_per_s": 2 * side**3 / product["median_us"] * 1e-3,
    }


def origin(device):
    cuda = device.startswith("cuda")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "name": torch.cuda.get_device_name() if cuda else "cpu",
    }


def run(arguments):
    begin, results, not_run = time.monotonic(), [], []
    record = {
        **origin(arguments.device),
        "tiny": arguments.tiny,
        "min_time_s": arguments.min_time,
        "rounds": arguments.rounds,
        "ceilings": ceilings(arguments.device, arguments.tiny),
    }
    for name, contenders in plan(arguments.tiny).items():
        if arguments.only not in name:
            continue
        if arguments.budget and time.monotonic() - begin > arguments.budget:
            not_run.append(name)
            continue
        results.append(
            {
                "name": name,
                "contenders": timing.measure(contenders(arguments.device), arguments.min_time, arguments.rounds),
            }
        )
        for c in results[-1]["contenders"]:
            print(
                f"{name:<52} {c['contender']:<20} "
                + (
                    f"{c['median_us']:10.2f} us  {c['p10_us']:.2f} - {c['p90_us']:.2f}  {c['method']}"
                    if "median_us" in c
                    else f"refuses: {c['refuses']}"
                ),
                flush=True,
            )
        record.update(results=results, not_run=not_run, seconds=time.monotonic() - begin)
        if arguments.json:
            pathlib.Path(arguments.json).write_text(json.dumps(record, indent=1) + "\n")
        if arguments.device != "cpu":
            torch.cuda.empty_cache()
    if not_run:
        print(f"not run, the budget of {arguments.budget} s was spent: {', '.join(not_run)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json")
    parser.add_argument("--min-time", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=0)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch._functorch.config.donated_buffer = False  # a backward is timed again and again
    torch._dynamo.config.cache_size_limit = 64  # one compilation a shape
    if arguments.device == "cpu":
        run(arguments)
    else:
        with torch.cuda.stream(torch.cuda.Stream()):  # the default stream cannot be captured
            run(arguments)


main()
