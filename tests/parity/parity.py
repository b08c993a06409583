#!/usr/bin/env python3
"""Compares mae with Hugging Face's transformers and with timm: weights in and out, masks, predictions, loss.

    script/parity [--mae build/release/mae] [--quick]

Each case is a ViTMAEForPreTraining with random weights, saved by save_pretrained and by torch.save; mae reads both and
says what it predicts of a random picture, in f32 and f64, with the mask that torch.manual_seed gives.
"""
import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile

import numpy
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from transformers import ViTForImageClassification, ViTMAEConfig, ViTMAEForPreTraining, ViTMAEModel

SEED = 2
BOUND = {"f32": 1e-5, "f64": 1e-9}
TYPE = {"f32": torch.float32, "f64": torch.float64}
SIZES = {
    "tiny": dict(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
                 decoder_hidden_size=32, decoder_num_hidden_layers=2, decoder_num_attention_heads=2,
                 decoder_intermediate_size=64, layer_norm_eps=1e-12),
    "base": dict(layer_norm_eps=1e-6),
}
failures = []


def check(what, difference, bound):
    bad = not difference <= bound  # NaN is bad
    print(f"  {'FAILED' if bad else 'ok':6} {what}: {difference:.2e} (bound {bound:.1e})", flush=True)
    if bad:
        failures.append(what)


def require(what, ok, said=""):
    print(f"  {'ok' if ok else 'FAILED':6} {what} {said}", flush=True)
    if not ok:
        failures.append(what)


def randomize(model, deviation=None):
    """Values that every part shows in: transformers begins with a mask token and decoder positions of zero. Matrices keep
    the size of what goes through them, or are of a deviation: its own initializer_range is 0.02."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.state_dict().items():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            parameter.copy_(1 + 0.1 * noise)
        elif "token" in name or "pos" in name:
            parameter.copy_(0.5 * noise)
        else:
            inputs = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.copy_(noise * (deviation or inputs ** -0.5))


def run(mae, *words):
    done = subprocess.run([mae, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"mae {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def predicted(mae, weights, picture, values, dtype, *more):
    run(mae, "reconstruct", picture, "--checkpoint", weights, "--noise", f"torch:{SEED}", "--values", values, "--dtype",
        dtype, "--out", values + ".png", *more)
    return load_file(values)


def reference(model, picture, mean, std, dtype, interpolate):
    pixels = torch.from_numpy(numpy.array(Image.open(picture))).to(torch.float64)
    pixels = pixels[..., None] if pixels.dim() == 2 else pixels
    pixels = ((pixels / 255 - torch.tensor(mean, dtype=torch.float64)) / torch.tensor(std, dtype=torch.float64))
    model = model.to(TYPE[dtype]).eval()
    torch.manual_seed(SEED)
    with torch.no_grad():
        return model(pixels.permute(2, 0, 1)[None].to(TYPE[dtype]), interpolate_pos_encoding=interpolate,
                     output_hidden_states=True)


def compare(case, ours, theirs, bound):
    """Differences, against the bound times the largest value of what is compared, where that is above 1."""
    def near(what, found, expected):
        largest = expected.abs().max().item()
        check(f"{case}: {what} (up to {largest:.1f})", (found - expected).abs().max().item(), bound * max(1, largest))

    check(f"{case}: mask", (ours["mask"] - theirs.mask).abs().max().item(), 0)
    require(f"{case}: ids_restore", bool((ours["ids_restore"] == theirs.ids_restore).all()))
    near("logits", ours["logits"], theirs.logits)
    if ours["mask"].any():  # else there is none
        near("loss", ours["loss"], theirs.loss.reshape(1))
    near("embeddings", ours["hidden_states.0"], theirs.hidden_states[0])
    middle = len(theirs.hidden_states) // 2
    near(f"hidden states behind block {middle}", ours[f"hidden_states.{middle}"], theirs.hidden_states[middle])


def cases(quick):
    everything = itertools.product(SIZES, [(224, 224), (224, 112)], [3, 1], [0.5, 0.75, 0.9])
    for i, (size, sides, channels, ratio) in enumerate(everything):
        # of the base model each value once, not each with each
        if size == "base" and (channels, ratio, sides) not in [(3, 0.75, (224, 224)), (1, 0.5, (224, 112)),
                                                               (3, 0.9, (224, 112))]:
            continue
        if quick and size == "base":
            continue
        yield size, sides, channels, ratio, i % 2 == 1
    yield "tiny", (224, 224), 3, 0.0, True  # masking off


def predictions(mae, folder, quick):
    for size, sides, channels, ratio, norm_pix in cases(quick):
        case = f"{size} {sides[0]}x{sides[1]}x{channels} ratio {ratio} norm_pix {norm_pix}"
        print(case, flush=True)
        mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if channels == 3 else ([0.4], [0.3])
        model = ViTMAEForPreTraining(ViTMAEConfig(**SIZES[size], num_channels=channels, mask_ratio=ratio,
                                                  norm_pix_loss=norm_pix))
        randomize(model, 0.02 if size == "base" else None)  # of 20 blocks that keep sizes, values grow
        place = os.path.join(folder, case.replace(" ", "_"))
        model.save_pretrained(place)
        torch.save(model.state_dict(), os.path.join(place, "weights.pth"))
        with open(os.path.join(place, "preprocessor_config.json"), "w") as file:
            json.dump({"image_mean": mean, "image_std": std, "rescale_factor": 1 / 255}, file)
        picture = os.path.join(place, "picture.png")
        pixels = numpy.random.default_rng(3).integers(0, 256, (*sides, channels), numpy.uint8)
        Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(picture)
        interpolate = sides != (224, 224)
        more = ["--image-size", f"{sides[0]},{sides[1]}", "--interpolation", "transformers"] if interpolate else []
        for dtype in ["f32", "f64"]:
            theirs = reference(model, picture, mean, std, dtype, interpolate)
            for weights in [place, os.path.join(place, "weights.pth")]:
                ours = predicted(mae, weights, picture, os.path.join(place, "values.safetensors"), dtype, *more)
                compare(f"{dtype} {'pth' if weights.endswith('pth') else 'safetensors'}", ours, theirs, BOUND[dtype])


def attention(mae, folder):
    """`mae attention --values`: every patch is visible, in its place."""
    print("attention", flush=True)
    place = os.path.join(folder, "attention")
    config = ViTMAEConfig(**SIZES["tiny"], mask_ratio=0.0, attn_implementation="eager")
    model = ViTMAEModel(config)
    randomize(model)
    model.save_pretrained(place)
    picture, values = os.path.join(place, "picture.png"), os.path.join(place, "values.safetensors")
    Image.fromarray(numpy.random.default_rng(4).integers(0, 256, (224, 224, 3), numpy.uint8)).save(picture)
    run(mae, "attention", picture, "--checkpoint", place, "--values", values, "--out", values + ".png", "--block", "all")
    pixels = torch.from_numpy(numpy.array(Image.open(picture))).float() / 255
    pixels = (pixels - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    order = torch.arange(196).reshape(1, 196) / 196
    theirs = model.eval()(pixels.permute(2, 0, 1)[None], noise=order, output_attentions=True).attentions
    ours = load_file(values)
    require("attention: as many blocks", len(ours) == len(theirs))
    for i, expected in enumerate(theirs):
        check(f"attention of block {i + 1} (up to {expected.max().item():.2f})",
              (ours[f"attentions.{i}"] - expected).abs().max().item(), BOUND["f32"])


def same_bytes(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and
        a[k].contiguous().view(torch.uint8).equal(b[k].contiguous().view(torch.uint8)) for k in a)


def loads(model_class, folder):
    _, said = model_class.from_pretrained(folder, output_loading_info=True)
    bad = {key: value for key, value in said.items() if value}
    require(f"{model_class.__name__}.from_pretrained: no missing, no unexpected keys", not bad, str(bad or ""))


def round_trips(mae, folder):
    print("round trips", flush=True)
    at = lambda name: os.path.join(folder, name)
    model = ViTMAEForPreTraining(ViTMAEConfig())
    randomize(model)
    model.save_pretrained(at("hub"))
    run(mae, "convert", at("hub"), at("official.safetensors"))
    run(mae, "convert", at("official.safetensors"), at("hub2"), "--format", "hf")
    loads(ViTMAEForPreTraining, at("hub2"))
    again = ViTMAEForPreTraining.from_pretrained(at("hub2"))
    require("Hugging Face -> ours -> Hugging Face: equal bytes of every tensor",
            same_bytes(model.state_dict(), again.state_dict()), f"({len(model.state_dict())} tensors)")
    run(mae, "convert", at("hub2"), at("official.pth"))
    official = load_file(at("official.safetensors"))
    checkpoint = torch.load(at("official.pth"), weights_only=True)["model"]
    require("official -> Hugging Face -> official: equal bytes of every tensor", same_bytes(official, dict(checkpoint)),
            f"({len(official)} tensors)")

    run(mae, "convert", at("official.pth"), at("timm.safetensors"), "--format", "timm")
    vit = timm.create_model("vit_base_patch16_224", num_classes=0)
    timm.models.load_checkpoint(vit, at("timm.safetensors"), strict=True)
    require("official -> timm: loads strictly, equal bytes of every tensor",
            same_bytes(dict(vit.state_dict()), {k: official[k] for k in vit.state_dict()}),
            f"({len(vit.state_dict())} tensors)")
    run(mae, "convert", at("timm.safetensors"), at("encoder"), "--format", "hf")
    loads(ViTMAEModel, at("encoder"))

    vit = timm.create_model("vit_base_patch16_224", num_classes=7)  # class token, as transformers' classifiers
    torch.save({"model": vit.state_dict()}, at("classifier.pth"))
    run(mae, "convert", at("classifier.pth"), at("classifier"), "--format", "hf")
    loads(ViTForImageClassification, at("classifier"))
    classifier = ViTForImageClassification.from_pretrained(at("classifier")).eval()
    pixels = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        check("a classifier of timm in transformers: logits",
              (classifier(pixels).logits - vit.eval()(pixels)).abs().max().item(), 1e-4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mae", default="build/release/mae")
    parser.add_argument("--quick", action="store_true", help="without the base model")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.backends.mha.set_fastpath_enabled(False)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, timm {timm.__version__}", flush=True)
    noise = torch.manual_seed(SEED) and torch.rand(1, 196)
    print("first noise", noise[0, :3].tolist(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        round_trips(options.mae, folder)
        attention(options.mae, folder)
        predictions(options.mae, folder, options.quick)
    print(f"{len(failures)} failures" if failures else "all agree")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
