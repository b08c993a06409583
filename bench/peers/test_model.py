#!/usr/bin/env python3
"""bench/peers/test_model.py: the peer computes what the golden files hold: loss and gradients in f64,
with each of its switches, and three updates with one choice of them. MAE_PYTHON names a Python that has PyTorch; without
it the exit code is 77: skipped."""

import itertools
import json
import os
import pathlib
import sys

if other := os.environ.pop("MAE_PYTHON", None):
    os.execv(other, [other, *sys.argv])

try:
    import torch
except ImportError as error:
    print(f"peers: not tried, {error}: no PyTorch here")
    sys.exit(77)

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
import model as peer  # noqa: E402

TYPES = {"F64": torch.float64, "I32": torch.int32}


def read(name):
    """A golden file: tensors by name, and its configuration."""
    data = (here.parents[1] / "tests" / "golden" / name).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])
    configuration = header.pop("__metadata__")
    tensors = {}
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[key] = torch.frombuffer(body[begin:end], dtype=TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, configuration


def sizes_from(configuration):
    whole = "image_height image_width channels patch dim depth heads decoder_dim decoder_depth decoder_heads"
    sizes = {key: int(configuration[key]) for key in whole.split()}
    return peer.sizes_of(
        {
            **sizes,
            "mlp_ratio": 4,
            "mask_ratio": float(configuration["mask_ratio"]),
            "ln_eps": float(configuration["ln_eps"]),
            "norm_pix": configuration["norm_pix"].lower() in ("true", "1"),
            "qkv_bias": configuration["qkv_bias"].lower() in ("true", "1"),
        }
    )


def build(golden, configuration, sdpa, trim):
    model = peer.MAE(sizes_from(configuration), sdpa, trim).double()
    model.load_state_dict({key[6:]: value for key, value in golden.items() if key.startswith("param.")})
    return model, golden["images"].permute(0, 3, 1, 2), golden["rank"].double()


def furthest(found, wanted):
    return ((found - wanted).abs().max() / (wanted.abs().max() + 1e-6)).item()


def without_key_bias(key, value):
    """A key's bias has no gradient but rounding, which AdamW scales up."""
    third = value.shape[0] // 3
    return torch.cat([value[:third], value[2 * third :]]) if key.endswith("qkv.bias") else value


def check(name, sdpa, trim):
    golden, configuration = read(name)
    model, images, noise = build(golden, configuration, sdpa, trim)
    table = peer.positions(model.sizes.decoder_dim, model.sizes.rows, model.sizes.columns)
    assert furthest(table, golden["param.decoder_pos_embed"]) < 1e-6, name
    loss = model(images, noise)
    assert furthest(loss.detach(), golden["loss"]) < 1e-12, (name, sdpa, trim, loss, golden["loss"])
    loss.backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            off = furthest(without_key_bias(key, parameter.grad), without_key_bias(key, golden["grad." + key]))
            assert off < 1e-9, (name, sdpa, trim, key, off)


def check_updates(name):
    golden, configuration = read(name)
    model, images, noise = build(golden, configuration, sdpa=False, trim=True)
    optimizer = torch.optim.AdamW(peer.parameter_groups(model), lr=0.0, betas=(0.9, 0.95))
    for step in range(3):
        for group in optimizer.param_groups:
            group["lr"] = golden["lr"][step].item()
        optimizer.zero_grad()
        model(images, noise).backward()
        optimizer.step()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            off = furthest(without_key_bias(key, parameter.detach()), without_key_bias(key, golden["adamw3." + key]))
            assert off < 1e-9, (name, key, off)


has_sdpa = hasattr(torch.nn.functional, "scaled_dot_product_attention")
for name in ("mae_tiny.safetensors", "mae_tiny_pixels.safetensors"):
    for sdpa, trim in itertools.product((False, True) if has_sdpa else (False,), (False, True)):
        check(name, sdpa, trim)
        print(f"{name}, sdpa {sdpa}, trim {trim}: as it should be")
check_updates("mae_tiny.safetensors")
print(f"three updates: as they should be; torch {torch.__version__}" + ("" if has_sdpa else ", sdpa not tried"))
