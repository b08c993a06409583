"""Writes pillow.bin: what Pillow makes of small images in every operator of RandAugment, and of a resize with a crop.

Run by /usr/bin/python3 with python3-pil and python3-numpy. File, little endian, int32 unless said otherwise:

    images     number, then for each height, width, channels, its bytes
    operators  number of cases, then for each image, operator (its place in OPERATORS), magnitude in thousandths,
               negative, then the result in the image's size
    fits       number of cases, then for each image, side of the resize, side of the crop, then the result
"""

import math
import pathlib
import struct

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

FILL = (124, 116, 104)

# What a magnitude m of 0 to 10 means to each operator of timm's increasing set, s the sign.
OPERATORS = [
    ("AutoContrast", lambda i, m, s: ImageOps.autocontrast(i)),
    ("Equalize", lambda i, m, s: ImageOps.equalize(i)),
    ("Invert", lambda i, m, s: ImageOps.invert(i)),
    ("Rotate", lambda i, m, s: i.rotate(s * ((m / 10) * 30.0), resample=Image.BICUBIC, fillcolor=fill(i))),
    ("Posterize", lambda i, m, s: ImageOps.posterize(i, 4 - int((m / 10) * 4))),
    ("Solarize", lambda i, m, s: ImageOps.solarize(i, 256 - int((m / 10) * 256))),
    ("SolarizeAdd", lambda i, m, s: solarize_add(i, int((m / 10) * 110))),
    ("Color", lambda i, m, s: ImageEnhance.Color(i).enhance(1.0 + s * ((m / 10) * 0.9))),
    ("Contrast", lambda i, m, s: ImageEnhance.Contrast(i).enhance(1.0 + s * ((m / 10) * 0.9))),
    ("Brightness", lambda i, m, s: ImageEnhance.Brightness(i).enhance(1.0 + s * ((m / 10) * 0.9))),
    ("Sharpness", lambda i, m, s: ImageEnhance.Sharpness(i).enhance(1.0 + s * ((m / 10) * 0.9))),
    ("ShearX", lambda i, m, s: affine(i, (1, s * ((m / 10) * 0.3), 0, 0, 1, 0))),
    ("ShearY", lambda i, m, s: affine(i, (1, 0, 0, s * ((m / 10) * 0.3), 1, 0))),
    ("TranslateXRel", lambda i, m, s: affine(i, (1, 0, s * ((m / 10) * 0.45) * i.size[0], 0, 1, 0))),
    ("TranslateYRel", lambda i, m, s: affine(i, (1, 0, 0, 0, 1, s * ((m / 10) * 0.45) * i.size[1]))),
]
SIGNED = {3, 7, 8, 9, 10, 11, 12, 13, 14}


def fill(image):
    return FILL if image.mode == "RGB" else FILL[0]


def affine(image, matrix):
    return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BICUBIC, fillcolor=fill(image))


def solarize_add(image, add):
    table = [min(255, v + add) if v < 128 else v for v in range(256)]
    return image.point(table * len(image.getbands()))


def photo(rng, height, width, channels):
    """Smooth light, soft shapes with hard edges, some grain, and places that are black or burnt out."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = []
    for c in range(channels):
        plane = 110 + 70 * np.sin(3 * x + 2 * y + c) + 25 * np.cos(19 * y - 7 * x)
        planes.append(plane)
    pixels = np.stack(planes, axis=2)
    for _ in range(5):
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.3)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        pixels[inside] += rng.uniform(-140, 140, channels)
    pixels += rng.normal(0, 9, pixels.shape)
    return np.clip(pixels, 0, 255).astype("u1")


def images(rng):
    yield photo(rng, 11, 17, 3)
    yield photo(rng, 16, 11, 1)
    yield photo(rng, 24, 34, 3)
    yield rng.integers(0, 256, (9, 12, 3)).astype("u1")  # noise: the cubic overshoots at both ends
    yield rng.integers(90, 141, (14, 7, 3)).astype("u1")  # of little contrast
    yield np.full((6, 5, 3), 77, "u1")  # of one value
    yield (rng.integers(0, 2, (8, 8, 1)) * 200 + 20).astype("u1")  # of two
    yield rng.integers(0, 256, (2, 3, 3)).astype("u1")  # smaller than the filter of Sharpness
    yield rng.integers(0, 256, (1, 1, 3)).astype("u1")
    yield rng.integers(0, 256, (3, 29, 1)).astype("u1")
    yield photo(rng, 61, 70, 1)  # for the fits alone
    yield photo(rng, 50, 37, 3)


def magnitudes(n):
    if n < 2:
        return range(0, 11000, 1000)
    if n == 2:
        return [8730]
    return [4000, 10000]


def main():
    rng = np.random.default_rng(31)
    pixels = list(images(rng))
    out = [struct.pack("<i", len(pixels))]
    for p in pixels:
        out.append(struct.pack("<3i", *p.shape) + p.tobytes())
    pictures = [Image.fromarray(p if p.shape[2] == 3 else p[:, :, 0]) for p in pixels]
    cases = []
    for n, picture in enumerate(pictures[:10]):
        for thousandths in magnitudes(n):
            for k, (_, operator) in enumerate(OPERATORS):
                for negative in (0, 1) if k in SIGNED else (0,):
                    result = operator(picture, thousandths / 1000, -1 if negative else 1)
                    cases.append(struct.pack("<4i", n, k, thousandths, negative) + np.asarray(result).tobytes())
    out += [struct.pack("<i", len(cases))] + cases
    fits = []
    for n, resize, crop in [(10, 256, 224), (11, 32, 28), (11, 37, 37), (2, 33, 29)]:
        picture = pictures[n]
        short, long = sorted(picture.size)
        other = int(resize * long / short)
        size = (resize, other) if picture.width <= picture.height else (other, resize)
        resized = picture.resize(size, Image.BICUBIC) if size != picture.size else picture
        left, top = int(round((size[0] - crop) / 2.0)), int(round((size[1] - crop) / 2.0))
        result = resized.crop((left, top, left + crop, top + crop))
        fits.append(struct.pack("<3i", n, resize, crop) + np.asarray(result).tobytes())
    out += [struct.pack("<i", len(fits))] + fits
    pathlib.Path(__file__).with_name("pillow.bin").write_bytes(b"".join(out))


if __name__ == "__main__":
    main()
