"""A PyTorch contender of a whole step: its model, its optimizer, and what a step of it is. Run by step.py."""

import contextlib
import resource
import time

import hugging_face
import model
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

SDPA = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
BATCHES = 4  # of images, in turns
LEARNING_RATE = 1e-6  # moves every weight, and keeps the loss where it is however long this runs


def model_of(arguments, sizes, details):
    if arguments.contender == "hf":
        return hugging_face.model_of(sizes, details)
    trim = arguments.contender == "compile-trim"
    return model.MAE(sizes, sdpa=arguments.contender != "official", trim=trim)


def optimizer_of(arguments, network, details):
    groups, settings = model.parameter_groups(network), {"lr": LEARNING_RATE, "betas": (0.9, 0.95)}
    if arguments.contender != "official":
        try:
            details["optimizer"] = "AdamW, fused"
            return torch.optim.AdamW(groups, fused=True, **settings)
        except RuntimeError as error:  # this torch has none for the device
            details["no_fused_optimizer"] = str(error).splitlines()[0]
    details["optimizer"] = "AdamW, default"
    return torch.optim.AdamW(groups, **settings)


class Trainer:
    """One contender. `described`: what mae_bench step --describe prints; what is to be known of it goes to `details`."""

    def __init__(self, arguments, described, details):
        sizes = model.sizes_of(described)
        self.arguments = arguments
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
        return torch.float16 if self.official and self.cuda else torch.bfloat16

    def backends(self):
        """Only the asked one of SDPA's, if one was asked for."""
        if self.arguments.sdpa == "auto":
            return contextlib.nullcontext()
        return sdpa_kernel(SDPA[self.arguments.sdpa])

    def step(self):
        images = self.images[self.steps % BATCHES]
        self.steps += 1
        precision = self.precision()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.arguments.device, precision) if precision else contextlib.nullcontext():
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
            torch.cuda.synchronize()
        return loss

    def run(self, count):
        """Seconds of each of `count` steps."""
        with self.backends():
            if self.cuda:
                marks = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
                torch.cuda.synchronize()
                marks[0].record()
                for mark in marks[1:]:
                    self.step()
                    mark.record()
                torch.cuda.synchronize()
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
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def product_rate(arguments):
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
