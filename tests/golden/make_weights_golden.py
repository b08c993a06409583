#!/usr/bin/env python3
"""Writes tests/golden/weights: a tiny ViTMAE of Hugging Face's transformers, as it saves one, and what it predicts.

Needs torch, transformers, safetensors, numpy and Pillow (script/parity makes such an environment). Run at the root.
"""
import json
import os
import sys

import numpy
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import ViTMAEConfig, ViTMAEForPreTraining

sys.path.insert(0, "tests/parity")
from parity import SEED, randomize, reference  # noqa: E402

FOLDER = "tests/golden/weights"
MEAN, STD = [0.45, 0.4, 0.35], [0.25, 0.2, 0.3]

torch.set_grad_enabled(False)
os.makedirs(FOLDER, exist_ok=True)
model = ViTMAEForPreTraining(ViTMAEConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=4,
    decoder_hidden_size=12, decoder_num_hidden_layers=1, decoder_num_attention_heads=3, decoder_intermediate_size=24,
    mask_ratio=0.6, norm_pix_loss=True, layer_norm_eps=1e-12))
randomize(model)
model.save_pretrained(FOLDER)
torch.save(model.state_dict(), f"{FOLDER}/weights.pth")
with open(f"{FOLDER}/preprocessor_config.json", "w") as file:
    json.dump({"image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255}, file)

expected = {"torch_rand": torch.manual_seed(SEED) and torch.rand(3, 16)}
random = numpy.random.default_rng(3)
for name, sides in [("square", (16, 16)), ("wide", (8, 20))]:
    picture = f"{FOLDER}/{name}.png"
    Image.fromarray(random.integers(0, 256, (*sides, 3), numpy.uint8)).save(picture)
    out = reference(model, picture, MEAN, STD, "f64", sides != (16, 16))
    for key in ["logits", "mask", "ids_restore", "loss"]:
        expected[f"{name}.{key}"] = getattr(out, key).reshape(-1) if key == "loss" else getattr(out, key)
    for i, state in enumerate(out.hidden_states):
        expected[f"{name}.hidden_states.{i}"] = state
expected = {key: value.to(torch.int32) if value.dtype == torch.int64 else value.double() for key, value in expected.items()}
save_file({key: value.contiguous() for key, value in expected.items()}, f"{FOLDER}/expected.safetensors")
for name in sorted(os.listdir(FOLDER)):
    print(name, os.path.getsize(f"{FOLDER}/{name}"))
