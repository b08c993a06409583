#!/usr/bin/python3
"""Writes pth/*.pth: what torch.save makes of state dicts, for tests/engine/test_pth.cpp.

    /usr/bin/python3 tests/golden/pth.py
    /usr/bin/python3 tests/golden/pth.py --check FILE

Needs torch alone; the files here were made with torch 1.13.0a0 (Debian 12, python3-torch). Every tensor is ramp(shape, start):
start, start + 1/4, start + 1/2... in its own type, so that the test knows the values. --check loads a file as
torch.load(weights_only=True) does and prints what is in it: for files of mae.cu's own."""

import argparse
import pathlib
import sys
from collections import OrderedDict

import torch

HERE = pathlib.Path(__file__).resolve().parent


def ramp(shape, start, dtype=torch.float32):
    """Whole numbers count by one, truth values alternate."""
    count = torch.Size(shape).numel()
    if dtype == torch.bool:
        return (torch.arange(count) % 2 == 0).reshape(shape)
    step = 0.25 if dtype.is_floating_point else 1
    return (start + step * torch.arange(count, dtype=torch.float64)).to(dtype).reshape(shape)


def small_model():
    """A state dict with _metadata, as modules make it, and a count of batches, which is i64 without sizes."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    with torch.no_grad():
        for i, values in enumerate(model.state_dict().values()):
            values.copy_(ramp(values.shape, i, values.dtype))
    return model


def training():
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        for i, values in enumerate(model.state_dict().values()):
            values.copy_(ramp(values.shape, i, values.dtype))
    args = argparse.Namespace(lr=0.5, device="cuda", betas=(0.9, 0.95), resume=None, place=torch.device("cuda", 0))
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "scaler": {}, "args": args,
            "loss": 0.125, "name": "mae_vit_b\u00e9", "done": True, "seed": -(2**40), "dtype": torch.float16, "best": None}


def views():
    base = ramp((4, 6), 0)
    return {
        "whole": base,
        "transposed": base.t(),
        "part": base[1:3, 2:5],
        "stepped": base[::2, ::3],
        "column": base[:, 4],
        "cube": ramp((2, 3, 4), 100).permute(2, 0, 1),
        "one_size": ramp((3, 1), 7).t(),
        "bytes": ramp((3, 5), 0, torch.uint8).t(),
        "halves": ramp((3, 2), 0, torch.float16).t(),
        "doubles": ramp((3, 2), 0, torch.float64).t(),
    }


def types():
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
    tensors = {name: ramp((2, 3), 1, getattr(torch, name)) for name in names}
    return {**tensors, "scalar": ramp((), 5), "empty": ramp((0, 3), 0)}


def parameters():
    return {"state_dict": {"module." + name: torch.nn.Parameter(ramp((2, 2), i)) for i, name in enumerate("ab")},
            "arch": "vit"}


def nested():
    return OrderedDict(encoder={"0": {"weight": ramp((2,), 0)}, "kind": "vit"}, decoder={7: ramp((2,), 1)}, sizes=[1, 2])


def save_all():
    folder = HERE / "pth"
    folder.mkdir(exist_ok=True)

    def save(name, content, **options):
        torch.save(content, folder / f"{name}.pth", **options)

    save("plain", small_model().state_dict())
    save("training", training())
    save("protocol5", training(), pickle_protocol=5)
    save("views", views())
    save("types", types())
    save("parameters", parameters())
    save("nested", nested())
    save("old", {"a": ramp((2,), 0)}, _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(folder / "script.pth"))


def check(path):
    content = torch.load(path, map_location="cpu", weights_only=True)
    for name, value in content["model"].items():
        print(f"{name} {value.dtype} {tuple(value.shape)} {value.flatten()[:4].tolist()}")
    for name, value in content.items():
        if name != "model":
            print(f"{name} = {value!r}")


if __name__ == "__main__":
    torch.manual_seed(0)
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
    else:
        save_all()
