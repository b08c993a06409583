"""Fine-tuning and linear probing in PyTorch: what make_classifier_golden.py runs in float64. See README.md."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from reference import (ADAM_EPS, WEIGHT_DECAY, Patches, add_affine, add_blocks, embed, layer_norm, linear, make_param,
                       normal, transformer)

FINETUNE_BETAS, MOMENTUM, TRUST, BN_EPS = (0.9, 0.999), 0.9, 1e-3, 1e-6


@dataclass(frozen=True)
class ClassifierConfig(Patches):
    image_height: int
    image_width: int
    channels: int
    patch: int
    dim: int
    depth: int
    heads: int
    classes: int
    pooling: str = "mean"  # of the patch tokens, then fc_norm; or "cls": the final norm's class token
    drop_path: float = 0.0  # rate of the last block; the first block's is 0, linear between
    smoothing: float = 0.0
    ln_eps: float = 1e-6
    qkv_bias: bool = True
    positions: str = "sincos"  # at the start: fine-tuning trains the table

    @property
    def rates(self):
        return torch.linspace(0, self.drop_path, self.depth, dtype=torch.float64).tolist()

    @property
    def norm(self):
        return "fc_norm" if self.pooling == "mean" else "norm"


def classifier_shapes(c):
    """Official key -> shape. The official code drops `norm` where it pools by the mean, and makes `fc_norm` afresh."""
    s = {"cls_token": (1, 1, c.dim), "pos_embed": (1, c.patches + 1, c.dim)}
    add_affine(s, "patch_embed.proj", c.dim, c.channels, c.patch, c.patch)
    add_blocks(s, "blocks", c.depth, c.dim, c.qkv_bias)
    add_affine(s, c.norm, c.dim)
    add_affine(s, "head", c.classes, c.dim)
    return s


def make_classifier(c):
    """As reference.make_param; the head's weight is N(0, 0.1), not the recipe's 2e-5, which hides the rest."""
    params = {key: make_param(c, key, shape) for key, shape in classifier_shapes(c).items()}
    params["head.weight"] = normal(c.classes, c.dim, scale=0.1)
    return params


def drop_path(c, keep):
    """What a branch becomes: per sample 0, or itself / (1 - rate). `keep`: (B, 2 depth) of 0 and 1, or None for all."""
    def branch(x, column):
        return x if keep is None else x * (keep[:, column].to(x.dtype) / (1 - c.rates[column // 2]))[:, None, None]
    return branch


def classify(c, params, images, keep=None):
    """What is pooled, before any norm of its own (B, dim), and the logits (B, K)."""
    cls, x = embed(c, params, images)
    x = torch.cat([cls.expand(images.shape[0], -1, -1), x], 1)
    x = transformer(c, params, "blocks", c.depth, c.heads, x, drop_path(c, keep))
    pooled = x[:, 1:].mean(1) if c.pooling == "mean" else x[:, 0]  # a norm is per token: it may wait
    return pooled, linear(params, "head", layer_norm(c, params, c.norm, pooled))


def soft_targets(c, labels, weight):
    """(B, K): off = smoothing / K, on = 1 - smoothing + off; `weight` of the first label's, the rest the second's."""
    off = c.smoothing / c.classes
    one_hot = F.one_hot(labels.long(), c.classes).double() * (1 - c.smoothing) + off
    return weight[:, None] * one_hot[:, 0] + (1 - weight[:, None]) * one_hot[:, 1]


def cross_entropy(logits, targets, row_weight=None):
    """Mean over the batch of -sum(target * log softmax); with weights still divided by B, not by their sum."""
    rows = -(targets * F.log_softmax(logits, -1)).sum(-1)
    return (rows if row_weight is None else rows * row_weight).mean()


def layer_scale(c, key, decay):
    """decay^(depth + 1 - id): id 0 is the embedding, block i has id i + 1, norm and head are not scaled."""
    if key.startswith("blocks."):
        return decay ** (c.depth - int(key.split(".")[1]))
    return 1.0 if key.startswith(("head", "norm", "fc_norm")) else decay ** (c.depth + 1)


def finetune(c, start, loss, lr, decay, trained=None, max_norm=None):
    """AdamW, one step for each of `lr`. loss(params, step). Returns the losses and the gradient's norms before each
    step, and the trained parameters after the last. No decay: 1-D tensors, biases, cls_token, pos_embed."""
    trained = list(start) if trained is None else trained
    params = {key: p.clone().requires_grad_(key in trained) for key, p in start.items()}

    def weight_decay(key, p):
        bare = p.ndim == 1 or key.endswith(".bias") or key in ("cls_token", "pos_embed")
        return 0.0 if bare else WEIGHT_DECAY
    groups = [{"params": [params[key]], "weight_decay": weight_decay(key, params[key]),
               "scale": layer_scale(c, key, decay)} for key in trained]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=FINETUNE_BETAS, eps=ADAM_EPS)
    losses, norms = [], []
    for step, rate in enumerate(lr.tolist()):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        value = loss(params, step)
        optimizer.zero_grad()
        value.backward()
        leaves = [params[key] for key in trained]
        norms.append(torch.nn.utils.clip_grad_norm_(leaves, math.inf if max_norm is None else max_norm))
        losses.append(value.detach())
        optimizer.step()
    return torch.stack(losses), torch.stack(norms), {key: params[key].detach() for key in trained}


class Lars:
    """The official one: q = trust |p| / |g| for tensors of more than one dimension (1 where a norm is 0), else 1;
    mu = momentum mu + q g; p -= lr mu. The recipe's weight decay is 0."""

    def __init__(self, params):
        self.params, self.momentum = params, [torch.zeros_like(p) for p in params]

    def step(self, lr):
        for p, mu in zip(self.params, self.momentum):
            g = p.grad
            if p.ndim > 1 and p.norm() > 0 and g.norm() > 0:
                g = g * (TRUST * p.detach().norm() / g.norm())
            mu.mul_(MOMENTUM).add_(g)
            p.data.sub_(lr * mu)


class Sgd:
    def __init__(self, params):
        self.params, self.sgd = params, torch.optim.SGD(params, lr=0.0, momentum=MOMENTUM)

    def step(self, lr):
        self.sgd.param_groups[0]["lr"] = lr
        self.sgd.step()

    @property
    def momentum(self):
        return [self.sgd.state[p]["momentum_buffer"] for p in self.params]


def probe(optimizer_type, features, labels, weight, bias, lr, batch):
    """Batch norm without affine, then a linear layer: one step for each of `lr`, each on the next `batch` rows.
    Returns losses, weight, bias and running statistics after each step, the momentum, and the logits in eval mode."""
    norm = torch.nn.BatchNorm1d(features.shape[1], affine=False, eps=BN_EPS).double()
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer, after = optimizer_type([weight, bias]), []
    for step, rate in enumerate(lr.tolist()):
        rows = slice(step * batch, (step + 1) * batch)
        loss = F.cross_entropy(F.linear(norm(features[rows]), weight, bias), labels[rows].long())
        weight.grad = bias.grad = None
        loss.backward()
        optimizer.step(rate)
        after.append([x.detach().clone() for x in (loss, weight, bias, norm.running_mean, norm.running_var)])
    norm.eval()
    names = ("losses", "weight", "bias", "running_mean", "running_var")
    result = {name: torch.stack(column) for name, column in zip(names, zip(*after))}
    result["momentum.weight"], result["momentum.bias"] = optimizer.momentum
    result["logits"] = F.linear(norm(features), weight, bias).detach()
    return result
