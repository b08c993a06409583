#!/usr/bin/python3
"""Writes the golden files of this folder: MAE and its ops as PyTorch computes them in float64. See README.md."""

import json
import math
import pathlib
import struct
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F

from reference import (ADAM_EPS, BETAS, PEAK_LR, STEPS, WARMUP, WEIGHT_DECAY, Config, attention, encode, forward, frozen,
                       layer_norm, linear, make_params, masked_mse, normal, schedule, shapes, sincos, train)

HERE = pathlib.Path(__file__).resolve().parent


def save(name, tensors, metadata):
    """safetensors: header length (u64, little-endian), JSON padded with spaces to 8 bytes, then the raw data. Wider
    types come first, then names in order, so that every tensor is aligned."""
    arrays = {key: np.ascontiguousarray(t.detach().numpy()) for key, t in tensors.items()}
    header = {"__metadata__": {"torch": torch.__version__, **{k: str(v) for k, v in metadata.items()}}}
    offset, order = 0, sorted(arrays, key=lambda key: (-arrays[key].itemsize, key))
    for key in order:
        a = arrays[key]
        dtype = {"float64": "F64", "int32": "I32"}[a.dtype.name]
        header[key] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(arrays[key].astype(arrays[key].dtype.newbyteorder("<")).tobytes() for key in order)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + data)
    size = (HERE / name).stat().st_size
    assert size < 400_000, f"{name} has {size} bytes"
    print(f"{name}: {len(order)} tensors, {size} bytes")


def config_metadata(c):
    fields = {key: str(value).lower() if isinstance(value, bool) else value for key, value in asdict(c).items()}
    return {**fields, "patches": c.patches}


def make_rank(batch, patches):
    """Position of each patch in a random order: the ids_restore of the official code."""
    return torch.argsort(torch.argsort(torch.rand(batch, patches), 1), 1)


def write_model(name, c, batch, seed, training=True):
    torch.manual_seed(seed)
    params = make_params(c)
    images = normal(batch, c.image_height, c.image_width, c.channels)
    images = 0.5 * images + torch.cumsum(normal(*images.shape, scale=0.3), 2)  # smooth along a row, unlike noise
    rank = make_rank(batch, c.patches)
    leaves = {key: p.clone().requires_grad_(not frozen(c, key)) for key, p in params.items()}
    latent, pred, loss = forward(c, leaves, images, rank)
    loss.backward()
    grads = {key: p.grad for key, p in leaves.items() if p.requires_grad}
    check_gradient(lambda p: forward(c, p, images, rank)[2], params, grads)

    tensors = {"images": images, "rank": rank.int(), "mask": (rank >= c.keep).int(), "latent": latent, "pred": pred}
    tensors["loss"] = loss.reshape(1)
    tensors.update({"param." + key: p for key, p in params.items()})
    tensors.update({"grad." + key: g for key, g in grads.items()})
    metadata = {**config_metadata(c), "keep": c.keep, "batch": batch}
    if training:
        losses, snapshot = train(c, params, images, rank)
        assert losses[0] == losses[1] == loss.item() and all(b < a for a, b in zip(losses[1:], losses[2:])), losses
        print(f"  loss over {STEPS} steps: " + " ".join(f"{x:.4f}" for x in losses))
        tensors.update({"adamw3." + key: p for key, p in snapshot.items()})
        tensors["lr"] = torch.tensor([schedule(i) for i in range(STEPS)], dtype=torch.float64)
        tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
        metadata.update(beta1=BETAS[0], beta2=BETAS[1], adam_eps=ADAM_EPS, weight_decay=WEIGHT_DECAY, peak_lr=PEAK_LR,
                        warmup_steps=WARMUP, total_steps=STEPS)
    save(name, tensors, metadata)


def write_ops():
    torch.manual_seed(4)
    t = {}

    def leaf(x):
        return x.requires_grad_()

    def record(op, y, dy, **inputs):
        y.backward(dy)
        t.update({f"{op}.{key}": x for key, x in inputs.items()})
        t.update({f"{op}.d{key}": x.grad for key, x in inputs.items()})

    x, gamma, beta = leaf(normal(5, 7) * 2 + 1), leaf(normal(7)), leaf(normal(7))
    t["layernorm.y"], t["layernorm.dy"] = F.layer_norm(x, (7,), gamma, beta, 1e-6), normal(5, 7)
    record("layernorm", t["layernorm.y"], t["layernorm.dy"], x=x, gamma=gamma, beta=beta)

    qkv = leaf(normal(2, 5, 3, 2, 4, scale=1.5))
    (t["attention.out"], t["attention.lse"]), t["attention.dout"] = attention(qkv), normal(2, 5, 2, 4)
    record("attention", t["attention.out"], t["attention.dout"], qkv=qkv)

    x = leaf(torch.cat([torch.linspace(-12, 12, 25, dtype=torch.float64), normal(12)]))
    t["gelu.y"], t["gelu.dy"] = F.gelu(x), normal(37)
    record("gelu", t["gelu.y"], t["gelu.dy"], x=x)
    exact = torch.tensor([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.tolist()], dtype=torch.float64)
    assert (t["gelu.y"] - exact).abs().max() < 1e-14

    x, w, b = leaf(normal(5, 7)), leaf(normal(3, 7)), leaf(normal(3))
    t["linear.y"], t["linear.dy"] = F.linear(x, w, b), normal(5, 3)
    record("linear", t["linear.y"], t["linear.dy"], x=x, w=w, b=b)

    keep, rank, target = 3, make_rank(2, 7), 0.4 * normal(2, 7, 12) + normal(2, 7, 1)
    target[1, int(torch.argmax(rank[1]))] = 0.5  # a masked patch of one colour: only the eps under the root is left
    t.update({"mse.target": target, "mse.rank": rank.int(), "mse.keep": torch.tensor([keep], dtype=torch.int32)})
    t["mse.pred"] = normal(2, 7, 12)
    for op, norm_pix in (("norm_pix_mse", True), ("pixel_mse", False)):
        pred = leaf(t["mse.pred"].clone())
        loss = masked_mse(pred, target, (rank >= keep).double(), norm_pix)
        loss.backward()
        t.update({op + ".loss": loss.reshape(1), op + ".dpred": pred.grad})

    p, grads = normal(11), normal(5, 11) * 10.0 ** torch.linspace(-9, 1, 11, dtype=torch.float64)
    grads[:, 5] = 0  # only decay moves this one
    lrs = torch.tensor([0, 1e-3, 1e-2, 5e-3, 2e-2], dtype=torch.float64)
    t.update({"adamw.p0": p.clone(), "adamw.grads": grads, "adamw.lrs": lrs})
    optimizer = torch.optim.AdamW([leaf(p)], lr=0.0, betas=BETAS, eps=ADAM_EPS, weight_decay=WEIGHT_DECAY)
    for lr, grad in zip(lrs.tolist(), grads):
        optimizer.param_groups[0]["lr"], p.grad = lr, grad.clone()
        optimizer.step()
    t.update({"adamw.p5": p, "adamw.m5": optimizer.state[p]["exp_avg"], "adamw.v5": optimizer.state[p]["exp_avg_sq"]})

    save("ops.safetensors", t, {"layernorm.eps": 1e-6, "attention.scale": 0.5, "mse.norm_pix_eps": 1e-6,
                                "adamw.beta1": BETAS[0], "adamw.beta2": BETAS[1], "adamw.eps": ADAM_EPS,
                                "adamw.weight_decay": WEIGHT_DECAY})


def write_positions():
    tables = {"encoder": (32, 3, 5), "decoder": (24, 6, 4)}
    metadata = {f"{n}.{k}": v for n, size in tables.items() for k, v in zip(("dim", "rows", "columns"), size)}
    save("positions.safetensors", {n: sincos(*size) for n, size in tables.items()}, metadata)


def check_positions():
    """Spot values of the official table."""
    table = sincos(768, 14, 14)
    for (row, column), expected in {(0, 1): [0.841471, 0.815251, 0.540302, 0, 1],
                                    (1, 0): [0, 0, 1, 0.841471, 0.540302]}.items():
        got = table[1 + row * 14 + column, [0, 1, 192, 384, 576]]
        assert (got - torch.tensor(expected, dtype=torch.float64)).abs().max() < 1e-6, (row, column, got)
    assert not table[0].any()
    print("position table 768, 14 x 14: spot values agree")


def check_counts():
    """Parameters of the published models: in all, trained ones, and keys of the state dict."""
    decoder = dict(decoder_dim=512, decoder_depth=8, decoder_heads=16)
    cifar = dict(qkv_bias=False, positions="learned", decoder_embed=False, decoder_norm=False)
    expected = {
        "base": (Config(224, 224, 3, 16, 768, 12, 12, **decoder), 111_907_840, 111_655_680, 254),
        "large": (Config(224, 224, 3, 16, 1024, 24, 16, **decoder), 329_541_888, 329_239_296, 398),
        "huge": (Config(224, 224, 3, 14, 1280, 32, 16, **decoder), 657_074_508, 656_613_964, 494),
        "small recipe": (Config(32, 32, 3, 2, 192, 12, 3, 192, 4, 3, **cifar), 7_212_684, 7_212_684, None)}
    for name, (c, total, trainable, keys) in expected.items():
        count = {key: math.prod(shape) for key, shape in shapes(c).items()}
        assert sum(count.values()) == total, (name, sum(count.values()))
        assert sum(n for key, n in count.items() if not frozen(c, key)) == trainable, name
        assert keys in (None, len(count)), (name, len(count))
        print(f"{name}: {total:,} parameters, {trainable:,} trained, {len(count)} keys")


def check_gradient(loss, params, grads):
    """One random unit direction a tensor, four-point differences. A key bias has no influence: its gradient is 0."""
    h, worst = 3e-4, 0.0
    for key, grad in grads.items():
        direction = F.normalize(torch.randn_like(grad).flatten(), dim=0).reshape(grad.shape)
        at = lambda s: loss({**params, key: params[key] + s * h * direction}).item()
        numeric = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)
        worst = max(worst, abs(numeric - (grad * direction).sum().item()) / max(abs(numeric), 1e-2))
        assert grad.norm() > 1e-4, f"{key}: a gradient of {grad.norm()} tests nothing"
        if key.endswith("qkv.bias"):
            assert grad.chunk(3)[1].abs().max() < 1e-12, key
    assert worst < 1e-7, worst
    print(f"  gradients of {len(grads)} tensors against finite differences: worst {worst:.1e}")


def main():
    torch.set_num_threads(1)
    check_positions()
    check_counts()
    write_model("mae_tiny.safetensors", Config(24, 16, 3, 4, 16, 2, 2, 12, 2, 3), batch=3, seed=1)
    write_model("mae_tiny_pixels.safetensors", Config(6, 9, 2, 3, 12, 1, 3, 8, 1, 2, mask_ratio=0.5, norm_pix=False),
                batch=2, seed=2, training=False)
    write_model("mae_small_recipe.safetensors",
                Config(8, 8, 3, 2, 16, 2, 2, 16, 1, 1, norm_pix=False, ln_eps=1e-5, qkv_bias=False,
                       positions="learned", decoder_embed=False, decoder_norm=False,
                       patch_order="channel,row,column", decay="all"), batch=3, seed=3)
    write_ops()
    write_positions()


if __name__ == "__main__":
    main()
