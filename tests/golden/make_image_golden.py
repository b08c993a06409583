"""Writes images.bin: small JPEG and PNG files of noise, and what Pillow decodes from them.

Run by /usr/bin/python3 with python3-pil and python3-numpy. File, little endian: int32 number of cases; a case: int32
dtype (0 u8, 1 u16), height, width, channels of the result, channels to ask for, bytes of the file; the file; the
result (height, width, channels).
"""

import io
import pathlib
import struct

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 13, 17  # not whole JPEG blocks


def noise(rng, channels):
    small = rng.integers(0, 256, size=(4, 5, channels), dtype=np.uint8)
    size = (WIDTH, HEIGHT)
    pixels = [np.asarray(Image.fromarray(small[:, :, c]).resize(size, Image.BILINEAR)) for c in range(channels)]
    return np.stack(pixels, axis=2) if channels > 1 else pixels[0]


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def main():
    rng = np.random.default_rng(5)
    grey, rgb = Image.fromarray(noise(rng, 1)), Image.fromarray(noise(rng, 3))
    grey_alpha, rgba = Image.fromarray(noise(rng, 2), "LA"), Image.fromarray(noise(rng, 4))
    deep = Image.fromarray(rng.integers(0, 65536, size=(HEIGHT, WIDTH), dtype=np.uint16))
    jpeg, png = dict(format="JPEG", quality=80), dict(format="PNG")
    # (file, channels to ask for, the mode that Pillow gives the same in)
    cases = [
        (encoded(grey, **jpeg), 0, "L"),
        (encoded(grey, **jpeg), 3, "RGB"),
        (encoded(rgb, **jpeg), 0, "RGB"),
        (encoded(rgb, **jpeg), 1, "L"),
        (encoded(rgb, progressive=True, subsampling=0, **jpeg), 3, "RGB"),
        (encoded(rgb.convert("CMYK"), **jpeg), 3, "RGB"),
        (encoded(rgb, **png), 3, "RGB"),
        (encoded(rgba, **png), 0, "RGB"),
        (encoded(rgba, **png), 4, "RGBA"),
        (encoded(grey_alpha, **png), 0, "L"),
        (encoded(rgb.quantize(7), **png), 3, "RGB"),
        (encoded(grey.convert("1"), **png), 1, "L"),
        (encoded(deep, **png), 1, None),
    ]
    out = [struct.pack("<i", len(cases))]
    for file, asked, mode in cases:
        image = Image.open(io.BytesIO(file))
        pixels = np.asarray(image.convert(mode)) if mode else np.asarray(image).astype("<u2")
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        out.append(struct.pack("<6i", mode is None, HEIGHT, WIDTH, channels, asked, len(file)))
        out.append(file)
        out.append(pixels.tobytes())
    pathlib.Path(__file__).with_name("images.bin").write_bytes(b"".join(out))


if __name__ == "__main__":
    main()
