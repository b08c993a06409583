#!/usr/bin/python3
"""Writes the golden files of fine-tuning and linear probing, as PyTorch computes them in float64. See README.md."""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F

from classifier_reference import (BN_EPS, FINETUNE_BETAS, MOMENTUM, TRUST, ClassifierConfig, Lars, Sgd, classify,
                                  cross_entropy, finetune, layer_scale, make_classifier, probe, soft_targets)
from make_golden import check_gradient, config_metadata, save
from reference import ADAM_EPS, WEIGHT_DECAY, normal

LAYER_DECAY = 0.65
TINY = ClassifierConfig(24, 16, 3, 4, 16, 3, 2, classes=5, drop_path=0.4, smoothing=0.1)
CLS = ClassifierConfig(8, 12, 1, 4, 12, 2, 3, classes=4, pooling="cls")
LR = torch.tensor([1e-3, 2e-3, 1.5e-3], dtype=torch.float64)
BIG_LR = 10 * LR  # where clipping has to matter: AdamW forgets a factor that every step has


def metadata(c, **more):
    return {**config_metadata(c), "beta1": FINETUNE_BETAS[0], "beta2": FINETUNE_BETAS[1], "adam_eps": ADAM_EPS,
            "weight_decay": WEIGHT_DECAY, **more}


def make_images(c, batch):
    images = 0.5 * normal(batch, c.image_height, c.image_width, c.channels)
    return images + torch.cumsum(normal(*images.shape, scale=0.3), 2)  # smooth along a row, unlike noise


def make_keep(c, *shape):
    """Masks of drop path: both values in every column that can have them."""
    rates = torch.tensor(c.rates, dtype=torch.float64).repeat_interleave(2)
    while True:
        keep = (torch.rand(*shape, 2 * c.depth, dtype=torch.float64) >= rates).int()
        share = keep.double().flatten(0, -2).mean(0)
        if ((rates == 0) | ((share > 0) & (share < 1))).all():
            return keep


def gradients(loss, params):
    """The loss, and its gradient for every parameter, held against finite differences."""
    leaves = {key: p.clone().requires_grad_() for key, p in params.items()}
    value = loss(leaves)
    value.backward()
    grads = {key: p.grad for key, p in leaves.items()}
    check_gradient(loss, params, grads)
    return value.reshape(1), grads


def named(prefix, tensors):
    return {prefix + key: t for key, t in tensors.items()}


def make_tiny():
    """The model, batch and masks that finetune_tiny, finetune_clip and partial share."""
    torch.manual_seed(11)
    t = {"images": make_images(TINY, 6), "lambda": torch.tensor([0.3, 1, 0.55, 0.8, 0.05, 0.5], dtype=torch.float64),
         "labels": torch.tensor([[0, 3], [1, 2], [4, 4], [2, 0], [3, 1], [1, 4]], dtype=torch.int32)}
    t["targets"], t["keep"] = soft_targets(TINY, t["labels"], t["lambda"]), make_keep(TINY, 6)
    return make_classifier(TINY), t


def write_finetune(params, t):
    c = TINY

    def loss(p, step=0):
        return cross_entropy(classify(c, p, t["images"], t["keep"])[1], t["targets"])
    pooled, logits = classify(c, params, t["images"], t["keep"])
    value, grads = gradients(loss, params)
    losses, _, after = finetune(c, params, loss, LR, LAYER_DECAY)
    assert losses[0] == value[0] and losses[2] < losses[1] < losses[0], losses
    check_scales(c, params, after)
    print("  losses " + " ".join(f"{x:.4f}" for x in losses))
    tensors = {**t, "pooled": pooled, "logits": logits, "loss": value, "lr": LR, "losses": losses}
    tensors.update({**named("param.", params), **named("grad.", grads), **named("adamw3.", after)})
    save("finetune_tiny.safetensors", tensors, metadata(c, batch=6, layer_decay=LAYER_DECAY))


def write_clip(params, t):
    """Other masks at every step, so that the norms, and with them the factors of the clipping, differ."""
    torch.manual_seed(12)
    c, keep = TINY, make_keep(TINY, 3, 6)

    def loss(p, step):
        return cross_entropy(classify(c, p, t["images"], keep[step])[1], t["targets"])
    _, norms, free = finetune(c, params, loss, BIG_LR, LAYER_DECAY)
    max_norm = round(0.4 * norms.min().item(), 3)
    losses, norms, after = finetune(c, params, loss, BIG_LR, LAYER_DECAY, max_norm=max_norm)
    assert (norms > 2 * max_norm).all(), norms
    moved = lambda a, b: torch.cat([(a[key] - b[key]).flatten() for key in params]).norm()
    assert moved(after, free) > 1e-2 * moved(after, params), "without clipping it would be the same"
    print(f"  norms {norms.tolist()}, clipped to {max_norm}; moves {moved(after, params):.3f}, other than free "
          f"{moved(after, free):.4f}")
    tensors = {"keep": keep, "lr": BIG_LR, "losses": losses, "norms": norms, **named("clip3.", after)}
    save("finetune_clip.safetensors", tensors,
         metadata(c, batch=6, layer_decay=LAYER_DECAY, max_norm=max_norm, start="finetune_tiny"))


def write_cls():
    torch.manual_seed(13)
    c, params = CLS, make_classifier(CLS)
    images, weight = make_images(c, 5), torch.tensor([0.5, 2, 1, 3.25], dtype=torch.float64)
    labels = torch.tensor([2, 0, 3, 3, 1], dtype=torch.int32)
    targets = F.one_hot(labels.long(), c.classes).double()
    row_weight = weight[labels.long()]
    pooled, logits = classify(c, params, images)
    value, grads = gradients(lambda p: cross_entropy(classify(c, p, images)[1], targets), params)
    weighted, weighted_grads = gradients(lambda p: cross_entropy(classify(c, p, images)[1], targets, row_weight),
                                         params)
    assert abs(value - F.cross_entropy(logits, labels.long())) < 1e-14
    divided = F.cross_entropy(logits, labels.long(), weight)  # by the sum of the weights
    assert abs(weighted - divided * row_weight.sum() / 5) < 1e-14 and abs(weighted - divided) > 0.1
    save("finetune_cls.safetensors",
         {"images": images, "labels": labels, "class_weight": weight, "pooled": pooled, "logits": logits, "loss": value,
          "weighted_loss": weighted, **named("param.", params), **named("grad.", grads),
          **named("weighted_grad.", weighted_grads)}, metadata(c, batch=5))


def write_partial(params, t):
    c = replace(TINY, drop_path=0.0)
    labels = t["labels"][:, 0].contiguous()
    targets = soft_targets(c, labels[:, None].expand(-1, 2), torch.ones(6, dtype=torch.float64))

    def loss(p, step=0):
        return cross_entropy(classify(c, p, t["images"])[1], targets)
    value, grads = gradients(loss, params)
    last = f"blocks.{c.depth - 1}."
    head = ("fc_norm.", "head.")
    tensors = {"labels": labels, "targets": targets, "lr": LR, "loss": value,
               "logits": classify(c, params, t["images"])[1]}
    for name, prefixes in (("one", (last, *head)), ("half", (last + "norm2.", last + "mlp.", *head))):
        trained = [key for key in params if key.startswith(prefixes)]
        losses, _, after = finetune(c, params, loss, LR, 1.0, trained)
        assert losses[0] == value[0] and losses[2] < losses[1] < losses[0], losses
        print(f"  {name}: {len(trained)} tensors, losses " + " ".join(f"{x:.4f}" for x in losses))
        tensors.update({f"{name}.losses": losses, **named(f"{name}.grad.", {key: grads[key] for key in trained}),
                        **named(f"{name}.adamw3.", after)})
    save("partial.safetensors", tensors, metadata(c, batch=6, layer_decay=1.0, start="finetune_tiny"))


def write_partial_drop(params, t):
    """The last block alone, with what is random on: drop path, mixed targets; and layer decay."""
    c = TINY

    def loss(p, step=0):
        return cross_entropy(classify(c, p, t["images"], t["keep"])[1], t["targets"])
    value, grads = gradients(loss, params)
    trained = [key for key in params if key.startswith((f"blocks.{c.depth - 1}.", "fc_norm.", "head."))]
    losses, _, after = finetune(c, params, loss, LR, LAYER_DECAY, trained)
    assert losses[0] == value[0] and losses[2] < losses[1] < losses[0], losses
    print("  losses " + " ".join(f"{x:.4f}" for x in losses))
    tensors = {"labels": t["labels"], "lambda": t["lambda"], "keep": t["keep"], "lr": LR, "loss": value,
               "losses": losses, **named("grad.", {key: grads[key] for key in trained}), **named("adamw3.", after)}
    save("partial_drop.safetensors", tensors, metadata(c, batch=6, layer_decay=LAYER_DECAY, start="finetune_tiny"))


def write_probe():
    torch.manual_seed(14)
    features = normal(12, 7) * torch.tensor([0.1, 1, 2, 5, 1, 0.5, 1], dtype=torch.float64) + 3 * normal(7)
    labels = torch.tensor([0, 3, 1, 2, 2, 1, 0, 3, 3, 3, 0, 1], dtype=torch.int32)
    weight, bias = normal(4, 7, scale=0.01), normal(4, scale=0.01)
    tensors = {"features": features, "labels": labels, "weight": weight, "bias": bias}
    rates = {"lars": (Lars, [3.2, 6.4, 4.8]), "sgd": (Sgd, [0.1, 0.2, 0.15])}
    for name, (optimizer, lr) in rates.items():
        lr = torch.tensor(lr, dtype=torch.float64)
        result = probe(optimizer, features, labels, weight, bias, lr, batch=4)
        check_probe(features, result)
        tensors.update({f"{name}.lr": lr, **named(name + ".", result)})
    for key in ("running_mean", "running_var"):
        assert torch.equal(tensors["lars." + key], tensors.pop("sgd." + key))
        tensors[key] = tensors.pop("lars." + key)
    check_lars(tensors)
    save("probe_official.safetensors", tensors,
         {"batch": 4, "trust": TRUST, "momentum": MOMENTUM, "bn_eps": BN_EPS, "bn_momentum": 0.1, "weight_decay": 0})


def write_ema():
    torch.manual_seed(15)
    values, decays = normal(5, 7), torch.tensor([0.9, 0.9999], dtype=torch.float64)
    average = values[:1].expand(2, -1)
    steps = [average]
    for value in values[1:]:
        average = decays[:, None] * average + (1 - decays[:, None]) * value
        steps.append(average)
    average = torch.stack(steps, 1)
    powers = 0.9 ** torch.arange(4, -1, -1, dtype=torch.float64)
    share = powers * torch.tensor([1] + 4 * [1 - 0.9], dtype=torch.float64)
    assert abs(share.sum() - 1) < 1e-15 and (average[0, 4] - share @ values).abs().max() < 1e-15
    save("ema.safetensors", {"values": values, "decay": decays, "average": average}, {})


def write_bce():
    torch.manual_seed(16)
    targets = torch.tensor([[0, 1, -1, 1], [1, 1, 0, 0], [-1, -1, -1, -1], [0, -1, 1, 0], [1, 0, 0, -1]])
    logits = normal(5, 4, scale=2)
    logits[1] = torch.tensor([40, -40, 40, -40], dtype=torch.float64)  # where exp alone would lose everything
    logits[3, 0] = 800
    logits.requires_grad_()
    known = (targets >= 0).double()
    loss = F.binary_cross_entropy_with_logits(logits, targets.clamp(min=0).double(), known, reduction="sum") / 20
    loss.backward()
    by_hand = known * (torch.sigmoid(logits.detach()) - targets) / 20
    assert (logits.grad - by_hand).abs().max() < 1e-16 and math.isfinite(loss)
    save("bce.safetensors",
         {"logits": logits, "targets": targets.int(), "loss": loss.reshape(1), "dlogits": logits.grad}, {})


def check_targets():
    """On .9 + .1 / K, off .1 / K, mixed by lambda; every row sums to 1."""
    c, labels = TINY, torch.tensor([[0, 3], [2, 2]])
    t = soft_targets(c, labels, torch.tensor([0.3, 0.6], dtype=torch.float64))
    expected = torch.tensor([[0.3 * 0.92 + 0.7 * 0.02, 0.02, 0.02, 0.3 * 0.02 + 0.7 * 0.92, 0.02],
                             [0.02, 0.02, 0.92, 0.02, 0.02]], dtype=torch.float64)
    assert (t - expected).abs().max() < 1e-15 and (t.sum(1) - 1).abs().max() < 1e-15
    logits = normal(2, 5)
    assert abs(cross_entropy(logits, t) - F.cross_entropy(logits, t)) < 1e-15
    print("soft targets sum to 1 and agree")


def check_drop_path(params, images):
    """A dropped branch adds nothing, a kept one what the plain network adds over 1 - rate; the mean scale is 1."""
    c, plain = TINY, replace(TINY, drop_path=0.0)
    shallow = replace(c, depth=c.depth - 1, drop_path=c.rates[-2])
    all_but_last, none = torch.ones(6, 6, dtype=torch.int32), torch.zeros(6, 6, dtype=torch.int32)
    all_but_last[:, 4:], mlp = 0, none.clone()
    mlp[:, 5] = 1  # of the last block alone
    expected = classify(shallow, params, images, none[:, :4] + 1)[0]
    assert torch.equal(classify(c, params, images, all_but_last)[0], expected)
    start, full, scaled = (classify(*x)[0] for x in ((plain, params, images, none), (plain, params, images, mlp),
                                                     (c, params, images, mlp)))
    assert (scaled - start - (full - start) / (1 - 0.4)).abs().max() < 1e-14 and (full - start).norm() > 0.1
    silent = {**params, **{k: torch.zeros_like(p) for k, p in params.items() if k.startswith("blocks.2.mlp.fc2")}}
    assert torch.equal(classify(c, silent, images, mlp)[0], start)
    keep = make_keep(c, 100_000).double()
    mean = (keep / (1 - torch.tensor(c.rates).repeat_interleave(2))).mean(0)
    assert (keep[:, :2] == 1).all() and (mean - 1).abs().max() < 0.02, mean
    print("drop path: scales agree")


def check_scales(c, params, after):
    """The largest step of a tensor is its learning rate: three of them, times its layer's scale."""
    expected = {"cls_token": 0.65 ** 4, "patch_embed.proj.weight": 0.65 ** 4, "blocks.0.mlp.fc1.weight": 0.65 ** 3,
                "blocks.2.mlp.fc1.weight": 0.65, "head.weight": 1.0}
    for key, scale in expected.items():
        assert math.isclose(layer_scale(c, key, LAYER_DECAY), scale)
        step = (after[key] - params[key]).abs().max() / LR.sum()
        assert 0.9 * scale < step < 1.2 * scale, (key, step)


def check_probe(features, result):
    """Running statistics: momentum .1, from 0 and 1, of the unbiased variance."""
    batch = features[:4]
    assert (result["running_mean"][0] - 0.1 * batch.mean(0)).abs().max() < 1e-14
    assert (result["running_var"][0] - 0.9 - 0.1 * batch.var(0, unbiased=True)).abs().max() < 1e-14
    x = (features - result["running_mean"][2]) / (result["running_var"][2] + BN_EPS).sqrt()
    assert (x @ result["weight"][2].T + result["bias"][2] - result["logits"]).abs().max() < 1e-13
    assert result["losses"].isfinite().all()


def check_lars(t):
    """The first step moves the weight by lr * trust of its own length."""
    moved = (t["lars.weight"][0] - t["weight"]).norm() / t["weight"].norm()
    assert abs(moved - 3.2 * TRUST) < 1e-12, moved
    x = (t["features"][:4] - t["features"][:4].mean(0)) / (t["features"][:4].var(0, unbiased=False) + BN_EPS).sqrt()
    p = (x @ t["weight"].T + t["bias"]).softmax(1) - F.one_hot(t["labels"][:4].long(), 4)
    assert (t["sgd.weight"][0] - (t["weight"] - 0.1 * p.T @ x / 4)).abs().max() < 1e-14
    assert (t["lars.bias"][0] - (t["bias"] - 3.2 * p.mean(0))).abs().max() < 1e-14
    print("LARS and SGD: first steps agree")


def main():
    torch.set_num_threads(1)
    torch.manual_seed(10)
    check_targets()
    params, t = make_tiny()
    check_drop_path(params, t["images"])
    write_finetune(params, t)
    write_clip(params, t)
    write_cls()
    write_partial(params, t)
    write_partial_drop(params, t)
    write_probe()
    write_ema()
    write_bce()


if __name__ == "__main__":
    main()
