"""Writes resize.bin: what Pillow's bicubic resize makes of noise.

Run by /usr/bin/python3 with python3-pil and python3-numpy. File, little endian: int32 number of cases; a case: int32
dtype (0 u8, 1 f32), height, width, channels, box top, left, height, width, output height, width; then the input and
the output, both (height, width, channels).
"""

import pathlib
import struct

import numpy as np
from PIL import Image

# (dtype, height, width, channels, (top, left, height, width), (output height, output width))
CASES = [
    ("u8", 23, 31, 1, (0, 0, 23, 31), (9, 7)),        # shrinking both sides
    ("u8", 19, 24, 3, (0, 0, 19, 24), (8, 11)),
    ("u8", 9, 7, 1, (0, 0, 9, 7), (20, 28)),          # enlarging
    ("u8", 9, 8, 3, (0, 0, 9, 8), (16, 17)),
    ("u8", 28, 28, 1, (3, 5, 17, 20), (28, 28)),      # boxes, as a random crop makes them
    ("u8", 24, 20, 3, (6, 2, 11, 17), (14, 14)),
    ("u8", 16, 16, 3, (4, 1, 12, 9), (12, 14)),       # only the columns, only the rows change
    ("u8", 16, 16, 1, (1, 0, 13, 16), (10, 16)),
    ("u8", 40, 3, 1, (0, 0, 40, 3), (2, 5)),          # shrinking one side, enlarging the other
    ("f32", 17, 15, 1, (2, 3, 14, 11), (9, 16)),
]


def noise(rng, dtype, height, width, channels):
    if dtype == "f32":
        return rng.normal(size=(height, width)).astype("<f4")
    # Half of the pixels black or white: the filter overshoots, and both ends clip.
    pixels = rng.integers(0, 256, size=(height, width, channels)).astype("u1")
    extreme = rng.integers(0, 4, size=pixels.shape)
    pixels[extreme == 0] = 0
    pixels[extreme == 1] = 255
    return pixels if channels == 3 else pixels[:, :, 0]


def main():
    rng = np.random.default_rng(20)
    out = [struct.pack("<i", len(CASES))]
    for dtype, height, width, channels, (top, left, box_height, box_width), (to_height, to_width) in CASES:
        pixels = noise(rng, dtype, height, width, channels)
        box = Image.fromarray(pixels).crop((left, top, left + box_width, top + box_height))
        resized = np.asarray(box.resize((to_width, to_height), Image.BICUBIC))
        out.append(struct.pack("<10i", dtype == "f32", height, width, channels, top, left, box_height, box_width,
                               to_height, to_width))
        out.append(np.ascontiguousarray(pixels).tobytes())
        out.append(np.ascontiguousarray(resized.astype(pixels.dtype)).tobytes())
    pathlib.Path(__file__).with_name("resize.bin").write_bytes(b"".join(out))


if __name__ == "__main__":
    main()
