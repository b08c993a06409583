"""Compares decoded, cropped and resized photographs with Pillow's.

    ninja -C build/release crop_images
    /usr/bin/python3 tests/golden/compare_resize.py FOLDER [--program build/release/crop_images]

Needs python3-pil and python3-numpy of Debian, whose Pillow decodes JPEG by the system's libjpeg-turbo, as we do; a
wheel of Pillow brings another. For each file: the whole image, random crops as in training, and small and large boxes,
so that both sides shrink and grow; cropped first, then resized to 224 x 224 bicubic, as torchvision's
RandomResizedCrop does on an image of its default loader. Ends with 1 unless 99.9 % of all values differ by at most one
grey level.
"""

import argparse
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image, features

SIDE = 224
WANTED = 99.9  # per cent of the values within one grey level


def boxes(rng, width, height, count):
    """(top, left, height, width): the whole image, then boxes of 0.2 to 1 and of 0.001 to 0.2 of its area."""
    yield 0, 0, height, width
    for i in range(count):
        area = width * height * (rng.uniform(0.2, 1.0) if i % 3 else rng.uniform(0.001, 0.2))
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w = int(np.clip(round(np.sqrt(area * aspect)), 1, width))
        h = int(np.clip(round(np.sqrt(area / aspect)), 1, height))
        yield int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w


def ours(program, path, crops):
    lines = "".join(f"{t} {l} {h} {w} {SIDE} {SIDE} {path}\n" for t, l, h, w in crops)
    done = subprocess.run([program], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(len(crops), SIDE, SIDE, 3)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--program", default="build/release/crop_images")
    parser.add_argument("--crops", type=int, default=8, help="random boxes a file")
    args = parser.parse_args()
    files = sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    rng = np.random.default_rng(11)
    apart = np.zeros(256, np.int64)  # values that differ by so much
    shrunk = grown = 0
    for path in files:
        image = Image.open(path).convert("RGB")
        crops = list(boxes(rng, *image.size, args.crops))
        grown += sum(h < SIDE and w < SIDE for _, _, h, w in crops)
        shrunk += sum(h > SIDE and w > SIDE for _, _, h, w in crops)
        mine = ours(args.program, path, crops)
        for (t, l, h, w), result in zip(crops, mine):
            theirs = np.asarray(image.crop((l, t, l + w, t + h)).resize((SIDE, SIDE), Image.BICUBIC))
            apart += np.bincount(np.abs(result.astype(int) - theirs).ravel(), minlength=256)
    total = int(apart.sum())
    if total == 0:
        sys.exit(f"no images in {args.folder}")
    within = 100 * int(apart[:2].sum()) / total
    print(f"{len(files)} files, {total // (SIDE * SIDE * 3)} crops, {grown} of them enlarged, {shrunk} shrunk; "
          f"libjpeg-turbo {features.version('libjpeg_turbo')}")
    print(f"equal {100 * int(apart[0]) / total:.4f} %, within one grey level {within:.4f} %, "
          f"largest difference {int(np.flatnonzero(apart).max())}")
    sys.exit(0 if within >= WANTED else 1)


if __name__ == "__main__":
    main()
