#!/usr/bin/env python3
"""bench/peers/step.py --contender eager --model-json '{...}' --batch 8: one contender of bench/side_by_side.py, a process
that trains an MAE in PyTorch when it is told to.

It builds, compiles and warms up, and writes one line {"ready": true, ...}, or {"refuses": "why"} and ends. Then every line
"run N" on its input is N steps, answered by {"seconds": [one a step]}; at the end of its input it writes {"peak_bytes": N}.
A step is forward, backward and update, from images that lie ready on the device. docs/benchmarking.md has the contenders.
"""

import argparse
import contextlib
import json
import os
import resource
import sys
import time

CONTENDERS = ("official", "eager", "hf", "compile", "compile-trim")
SDPA = {"flash": "FLASH_ATTENTION", "cudnn": "CUDNN_ATTENTION", "efficient": "EFFICIENT_ATTENTION", "math": "MATH"}
BATCHES = 4  # of images, in turns
LEARNING_RATE = 1e-6  # moves every weight, and keeps the loss where it is however long this runs


class Refusal(Exception):
    pass


# ---- models ---------------------------------------------------------------------------------------------------------


def model_of(arguments, sizes, details):
    if arguments.contender == "hf":
        return hugging_face(sizes, details)
    import model

    trim = arguments.contender == "compile-trim"
    return model.MAE(sizes, sdpa=arguments.contender != "official", trim=trim)


def hugging_face(sizes, details):
    try:
        import transformers
    except ImportError as error:
        raise Refusal(f"{error}: pip install transformers") from error
    if sizes.image_height != sizes.image_width:
        raise Refusal(f"ViTMAE has square images, not {sizes.image_height} x {sizes.image_width}")
    details["transformers"] = transformers.__version__
    config = transformers.ViTMAEConfig(
        image_size=sizes.image_height,
        num_channels=sizes.channels,
        patch_size=sizes.patch,
        hidden_size=sizes.dim,
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.heads,
        intermediate_size=int(sizes.dim * sizes.mlp_ratio),
        decoder_hidden_size=sizes.decoder_dim,
        decoder_num_hidden_layers=sizes.decoder_depth,
        decoder_num_attention_heads=sizes.decoder_heads,
        decoder_intermediate_size=int(sizes.decoder_dim * sizes.mlp_ratio),
        mask_ratio=sizes.mask_ratio,
        norm_pix_loss=bool(sizes.norm_pix),
        layer_norm_eps=sizes.ln_eps,
        qkv_bias=bool(sizes.qkv_bias),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
    return transformers.ViTMAEForPreTraining(config)


def optimizer_of(arguments, network, details):
    import model
    import torch

    groups, settings = model.parameter_groups(network), {"lr": LEARNING_RATE, "betas": (0.9, 0.95)}
    if arguments.contender != "official":
        try:
            details["optimizer"] = "AdamW, fused"
            return torch.optim.AdamW(groups, fused=True, **settings)
        except RuntimeError as error:  # this torch has none for the device
            details["no_fused_optimizer"] = str(error).splitlines()[0]
    details["optimizer"] = "AdamW, default"
    return torch.optim.AdamW(groups, **settings)


# ---- a step ---------------------------------------------------------------------------------------------------------


class Trainer:
    def __init__(self, arguments, sizes, details):
        import torch

        self.torch, self.arguments = torch, arguments
        self.cuda = arguments.device == "cuda"
        self.official = arguments.contender == "official"
        torch.manual_seed(0)
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        self.network = model_of(arguments, sizes, details).to(arguments.device).train()
        self.optimizer = optimizer_of(arguments, self.network, details)
        self.scaler = torch.amp.GradScaler("cuda") if self.official and self.precision() == torch.float16 else None
        self.forward = self.network
        if arguments.contender.startswith("compile"):
            mode = arguments.compile_mode or ("max-autotune" if self.cuda else "default")
            self.forward = torch.compile(self.network, dynamic=False, mode=mode)
            details["compile_mode"] = mode
        shape = (arguments.batch, sizes.channels, sizes.image_height, sizes.image_width)
        self.images = [torch.randn(shape, device=arguments.device) for _ in range(BATCHES)]
        self.steps = 0
        details["autocast"] = str(self.precision()).replace("torch.", "") if self.precision() else "none"
        details["parameters"] = sum(p.numel() for p in self.network.parameters())

    def precision(self):
        """What autocast computes in; None: there is none. The official recipe has fp16 where there is a GPU."""
        if self.arguments.dtype == "f32":
            return None
        return self.torch.float16 if self.official and self.cuda else self.torch.bfloat16

    def backends(self):
        """Only the asked one of SDPA's, if one was asked for."""
        if self.arguments.sdpa == "auto":
            return contextlib.nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel(getattr(SDPBackend, SDPA[self.arguments.sdpa]))

    def step(self):
        images = self.images[self.steps % BATCHES]
        self.steps += 1
        precision = self.precision()
        self.optimizer.zero_grad(set_to_none=True)
        with self.torch.autocast(self.arguments.device, precision) if precision else contextlib.nullcontext():
            loss = self.forward(images)
        if self.arguments.contender == "hf":
            loss = loss.loss
        if self.official:
            loss.item()  # the recipe looks at every loss, and so waits for it
        if self.scaler:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            loss.backward()
            self.optimizer.step()
        if self.official and self.cuda:
            self.torch.cuda.synchronize()
        return loss

    def run(self, count):
        """Seconds of each of `count` steps."""
        with self.backends():
            if self.cuda:
                marks = [self.torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
                self.torch.cuda.synchronize()
                marks[0].record()
                for mark in marks[1:]:
                    self.step()
                    mark.record()
                self.torch.cuda.synchronize()
                return [begin.elapsed_time(end) * 1e-3 for begin, end in zip(marks, marks[1:])]
            seconds = []
            for _ in range(count):
                begin = time.perf_counter()
                self.step()
                seconds.append(time.perf_counter() - begin)
            return seconds

    def warm_up(self, details):
        """The first loss, and how long compilation and the first step took."""
        begin = time.perf_counter()
        with self.backends():
            details["loss"] = self.step().item()
        details["first_step_s"] = time.perf_counter() - begin
        self.run(20 if self.cuda else 2)

    def peak_bytes(self):
        """On the CPU of the process, PyTorch itself included."""
        if self.cuda:
            return self.torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def product_rate(torch, arguments):
    """GFLOP/s of a large product, the best of a few: what this machine gives PyTorch today."""
    cuda = arguments.device == "cuda"
    side, dtype = (8192 if cuda else 1536), (torch.bfloat16 if arguments.dtype == "bf16" else torch.float32)
    a, b = (torch.randn(side, side, device=arguments.device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(8):
        begin = time.perf_counter()
        a @ b
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return 2 * side**3 / min(seconds[2:]) * 1e-9


# ---- the worker -----------------------------------------------------------------------------------------------------


def prepare(arguments, details):
    if arguments.device == "cpu" and arguments.sdpa in ("cudnn", "efficient"):
        raise Refusal(f"SDPA's {arguments.sdpa} is for GPUs")
    if arguments.contender == "official" and arguments.sdpa != "auto":
        raise Refusal("the official recipe has no SDPA")
    try:
        import torch
        import torch.nn.attention  # noqa: F401
    except ImportError as error:
        raise Refusal(f"{error}: PyTorch 2.3 or newer is needed") from error
    import model

    sys.path.pop(0)  # this folder: transformers would take our kernels.py for a package of that name
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise Refusal("PyTorch finds no GPU")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    details.update(torch=torch.__version__, device=name, threads=torch.get_num_threads())
    details["product_gflop_per_s"] = product_rate(torch, arguments)
    trainer = Trainer(arguments, model.sizes_of(json.loads(arguments.model_json)), details)
    trainer.warm_up(details)
    return trainer


def serve(arguments, say):
    details = {"contender": arguments.contender, "sdpa": arguments.sdpa}
    try:
        trainer = prepare(arguments, details)
    except Exception as error:  # a peer that cannot do this work is a result, whatever it throws
        words = str(error) if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"
        say({**details, "refuses": " ".join(words.split())[:600]})
        return
    say({"ready": True, **details})
    for line in iter(sys.stdin.readline, ""):
        say({"seconds": trainer.run(int(line.split()[1]))})
    say({"peak_bytes": trainer.peak_bytes()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--contender", choices=CONTENDERS, required=True)
    parser.add_argument("--sdpa", choices=("auto", *SDPA), default="auto")
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


main()
