"""The work of each comparison in PyTorch: functions that give contenders, name -> maker of calls, one call a set of
operands."""

import math

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

MOST_CACHE = 60 << 20  # bytes: an H100 has 50 MB of L2
BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


def sets(bytes_a_set):
    """How many sets of operands are used in turn: they exceed the caches twice."""
    return min(16, max(4, math.ceil(2 * MOST_CACHE / bytes_a_set)))


def random(device, *shape, dtype=torch.bfloat16, grad=False):
    return torch.randn(*shape, device=device, dtype=torch.float32).to(dtype).requires_grad_(grad)


def compiled(function):
    return torch.compile(function, dynamic=False)


# ---- attention ------------------------------------------------------------------------------------------------------


def heads_of(device, batch, tokens, queries, heads, size, packed):
    """q, k, v as SDPA takes them, (B, H, T, D): contiguous, or views of what a linear layer has written, as in timm."""
    if not packed:
        return [random(device, batch, heads, t, size, grad=True) for t in (queries, tokens, tokens)]
    if queries == tokens:
        return list(random(device, batch, tokens, 3, heads, size, grad=True).permute(2, 0, 3, 1, 4).unbind(0))
    query = random(device, batch, queries, heads, size, grad=True).transpose(1, 2)
    return [query, *random(device, batch, tokens, 2, heads, size, grad=True).permute(2, 0, 3, 1, 4).unbind(0)]


def attention(device, backward, batch, tokens, queries, heads, size):
    count = sets(2 * batch * heads * size * (2 * tokens + 2 * queries) * (2 if backward else 1))

    def make(backend, packed):
        calls = []
        for _ in range(count):
            qkv = heads_of(device, batch, tokens, queries, heads, size, packed)
            gradient = random(device, batch, queries, heads, size).transpose(1, 2)

            def forward(qkv=qkv):
                with sdpa_kernel(backend):
                    return F.scaled_dot_product_attention(*qkv)

            out = forward() if backward else None

            def back(qkv=qkv, out=out, gradient=gradient):
                return torch.autograd.grad(out, qkv, gradient, retain_graph=True)

            calls.append(back if backward else forward)
        return calls

    makers = {}
    for name, backend in BACKENDS.items():
        makers[name] = lambda backend=backend: make(backend, False)
        makers[f"{name}, packed"] = lambda backend=backend: make(backend, True)
    return makers


# ---- layers ---------------------------------------------------------------------------------------------------------


def layer_norm(x, weight, bias):
    return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-6)


def norm(device, backward, rows, width):
    def make(function):
        calls = []
        for _ in range(sets(2 * rows * width * (3 if backward else 2))):
            x, weight, bias = (
                random(device, rows, width, grad=True),
                random(device, width, grad=True),
                random(device, width, grad=True),
            )
            gradient = random(device, rows, width)
            out = function(x, weight, bias) if backward else None
            calls.append(
                (
                    lambda out=out, inputs=(x, weight, bias), gradient=gradient: torch.autograd.grad(
                        out, inputs, gradient, retain_graph=True
                    )
                )
                if backward
                else (lambda inputs=(x, weight, bias): function(*inputs))
            )
        return calls

    return {"eager": lambda: make(layer_norm), "compile": lambda: make(compiled(layer_norm))}


def linear_gelu_forward(device, rows, hidden, width):
    """The first linear layer of an MLP and its GELU, with the pre-activation kept for backward."""

    def function(x, weight, bias):
        before = F.linear(x, weight, bias)
        return F.gelu(before), before

    def make(function):
        weight, bias = random(device, hidden, width), random(device, hidden)
        inputs = [random(device, rows, width) for _ in range(sets(2 * rows * (width + 2 * hidden)))]
        return [lambda x=x: function(x, weight, bias) for x in inputs]

    return {"eager": lambda: make(function), "compile": lambda: make(compiled(function))}


def linear_gelu_backward(device, rows, hidden, width):
    """Of the second linear layer: the gradient of its input, through GELU, and the first one's bias gradient."""

    def function(dy, weight, before):
        dx = torch.ops.aten.gelu_backward(torch.mm(dy, weight), before)
        return dx, dx.sum(0, dtype=torch.float32)

    def make(function):
        weight = random(device, width, hidden)
        inputs = [
            (random(device, rows, width), random(device, rows, hidden))
            for _ in range(sets(2 * rows * (width + 2 * hidden)))
        ]
        return [lambda dy=dy, before=before: function(dy, weight, before) for dy, before in inputs]

    return {"eager": lambda: make(function), "compile": lambda: make(compiled(function))}


# ---- loss -----------------------------------------------------------------------------------------------------------


def patches_of(images, patch, mean, std):
    """(B, H, W, 3) of bytes -> (B, L, P P 3) of normalised pixels, as the official code's patchify gives them."""
    x = (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return torch.einsum("nchpwq->nhwpqc", x).reshape(batch, -1, patch * patch * channels)


def normalised(target):
    mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
    return (target - mean) / (variance + 1e-6) ** 0.5


def pixel_loss(device, batch, side, patch):
    """Loss and its gradient, from images. of_all: every patch is predicted and masked afterwards, as the official code
    does; of_masked: only those that count."""
    tokens, values = (side // patch) ** 2, patch * patch * 3
    masked = tokens - tokens // 4
    mean = torch.tensor([0.485, 0.456, 0.406], device=device).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], device=device).view(1, 3, 1, 1)

    def of_all(images, pred, mask, ids):
        loss = ((pred - normalised(patches_of(images, patch, mean, std))) ** 2).mean(-1)
        return (loss * mask).sum() / mask.sum()

    def of_masked(images, pred, mask, ids):
        target = patches_of(images, patch, mean, std)
        target = torch.gather(target, 1, ids.unsqueeze(-1).expand(-1, -1, values))
        return ((pred - normalised(target)) ** 2).mean()

    def make(function, predicted):
        calls = []
        for _ in range(sets(batch * tokens * values * 5)):
            images = torch.randint(0, 256, (batch, side, side, 3), device=device, dtype=torch.uint8)
            order = torch.rand(batch, tokens, device=device).argsort(1)
            ids, mask = order[:, :masked].contiguous(), (order.argsort(1) < masked).float()
            pred = random(device, batch, predicted, values, grad=True)
            calls.append(lambda a=(images, pred, mask, ids): torch.autograd.grad(function(*a), a[1]))
        return calls

    return {
        "eager": lambda: make(of_all, tokens),
        "eager, masked": lambda: make(of_masked, masked),
        "compile": lambda: make(compiled(of_all), tokens),
        "compile, masked": lambda: make(compiled(of_masked), masked),
    }


# ---- optimizer ------------------------------------------------------------------------------------------------------


def optimizer_of(device, count):
    weight = random(device, count, dtype=torch.float32, grad=True)
    weight.grad = random(device, count, dtype=torch.float32)
    cuda = torch.device(device).type == "cuda"
    return weight, torch.optim.AdamW(
        [weight], lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True, capturable=cuda
    )


def adamw(device, count):
    """One flat parameter: larger than any cache, so one set will do."""

    def fused():
        _, optimizer = optimizer_of(device, count)
        return [optimizer.step]

    return {"fused": fused}


def optimizer_path(device, count):
    """What surrounds the update in a run with a gradient scaler: unscale and look for infinities, norm of the gradient,
    update, weights cast for the next forward."""

    def path():
        weight, optimizer = optimizer_of(device, count)
        found, scale = torch.zeros(1, device=device), torch.ones(1, device=device)

        def call():
            torch._amp_foreach_non_finite_check_and_unscale_([weight.grad], found, scale)
            norm = torch.linalg.vector_norm(weight.grad)
            optimizer.step()
            return norm, weight.detach().to(torch.bfloat16)

        return [call]

    return {"path": path}
