"""Writes tests/fuzz/corpus/<target>/: small files that the fuzz targets start from.

    /usr/bin/python3 tests/fuzz/make_corpus.py

It needs nothing but Python. All content is made up here; the JPEG and PNG files are those of tests/golden/images.bin,
which tests/golden/make_image_golden.py makes of noise, and the .pth files those of tests/golden/pth. Files named bug_* are
inputs that once broke something; they are written by hand and left alone.
"""

import gzip
import io
import json
import pathlib
import struct
import tarfile
import zlib

HERE = pathlib.Path(__file__).parent
EXIF = b"Exif\0\0"


def noise(count, seed):
    """Bytes of a linear congruential generator."""
    out = bytearray()
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(seed >> 56)
    return bytes(out)


def safetensors(header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_files():
    metadata = {"format": "mae.cu", "format_version": "1", "step": "12", "config.dim": "16"}
    yield "empty", safetensors({}, b"")
    yield "one", safetensors({"a": tensor("F32", [2], 0, 8)}, noise(8, 1))
    yield "checkpoint", safetensors(
        {
            "__metadata__": metadata,
            "blocks.0.attn.qkv.weight": tensor("F32", [6, 2], 0, 48),
            "optimizer.moment1.blocks.0.attn.qkv.weight": tensor("F32", [6, 2], 48, 96),
            "scalar": tensor("F32", [], 96, 100),
            "none": tensor("BF16", [0, 3], 100, 100),
            "half": tensor("BF16", [3], 100, 106),
            "mask": tensor("U8", [1, 2], 106, 108),
        },
        noise(108, 2),
    )
    summed = safetensors({"__metadata__": {"crc32": "00000000"}, "a": tensor("F32", [2], 0, 8)}, noise(8, 3))
    yield "summed", summed.replace(b"00000000", b"%08x" % zlib.crc32(summed), 1)
    yield "unicode", safetensors({"é\n": tensor("F64", [1, 1, 1, 1, 1, 1, 1, 1], 0, 8)}, noise(8, 3))


def idx(dtype, sizes, data):
    return bytes([0, 0, dtype, len(sizes)]) + b"".join(struct.pack(">I", n) for n in sizes) + data


def idx_files():
    files = {
        "u8": idx(0x08, [3, 4, 5], noise(60, 4)),
        "u8_channels": idx(0x08, [2, 3, 2, 3], noise(36, 5)),
        "f32": idx(0x0D, [1, 2, 3], struct.pack(">6f", 0, 1, -1, 0.5, float("inf"), float("nan"))),
        "labels": idx(0x08, [4], bytes([0, 1, 9, 255])),
    }
    for name, content in files.items():
        yield name, content
        yield name + "_gzip", gzip.compress(content, mtime=0)
    yield "two_members", gzip.compress(files["u8"][:20], mtime=0) + gzip.compress(files["u8"][20:], mtime=0)


def cifar_files():
    flat = bytes([7]) + bytes(1024) + b"\x80" * 1024 + b"\xff" * 1024
    yield "one", flat
    yield "two", flat + bytes([9]) + noise(64, 6) * 48
    yield "hundred", bytes([3, 99]) + flat[1:]


def npy(version, header, data):
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def npy_files():
    def header(descr, shape, order=False):
        return "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)

    yield "u8", npy(1, header("|u1", "(3, 4)"), noise(12, 7))
    yield "u16", npy(2, header("<u2", "(2, 2, 13)"), noise(104, 8))
    yield "f32", npy(3, header("<f4", "(1, 2, 3)"), noise(24, 9))
    yield "fortran", npy(1, header("|u1", "(2, 2)", True), noise(4, 10))
    yield "i64", npy(1, header("<i8", "(2,)"), noise(16, 11))


def csv_files():
    yield "table", b"path,label,split\na.png,cat,train\nb.png,dog,test\n"
    yield "numbers", b"\xef\xbb\xbffilename,class\r\na.png,3\r\nb.png,0\r\n"
    yield "quoted", b'image,"label"\n"a.png","a ""b"", c"\n\n"b.png","two\nlines"\n'
    yield "list", b"# images\na.png\n\nb.png\r\n"
    yield "missing", b"path\na.png\nc.png\n"
    yield "many_labels", b"path,split,cat,dog\na.png,train,1,0\nb.png,val,0,-1\nc.png,val,,1\n"
    yield "rows_of_labels", b"cat,dog\n1,0\n0,1\n"


def packed_files():
    def entry(offset, height, width, shard=0, label=-1, orientation=1):
        crc = zlib.crc32(bytes(height * width))
        return struct.pack("<QIiHHHH", offset, crc, label, height, width, orientation, shard)

    yield "table", entry(0, 3, 4) + entry(64, 8, 16, label=1, orientation=6) + entry(192, 1, 1, shard=1)
    yield "end", entry(4032, 8, 8)
    index = {"crc32": "00000000", "format": "mae.cu packed images", "format_version": 1, "dtype": "u8", "channels": 3}
    index |= {"images": 2, "size": 0, "left_out": 1, "fingerprint": "0123456789abcdef"}
    index |= {"source": {"format": "image folder", "fingerprint": "fedcba9876543210"}, "classes": ["a", "\u00e9"]}
    index |= {"table_crc32": "89abcdef", "shards": [4096, 64]}
    text = json.dumps(index, separators=(",", ":")).encode() + b"\n"
    yield "index", text.replace(b"00000000", b"%08x" % zlib.crc32(text), 1)


def golden_images():
    """(file, dtype, channels) of every case of images.bin."""
    content = (HERE.parent / "golden" / "images.bin").read_bytes()
    (count,), at = struct.unpack_from("<i", content), 4
    for _ in range(count):
        wide, height, width, channels, _, size = struct.unpack_from("<6i", content, at)
        yield content[at + 24 : at + 24 + size]
        at += 24 + size + height * width * channels * (2 if wide else 1)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(height, width, depth, colour, rows, extra=b"", interlaced=0):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_files():
    images = [file for file in golden_images() if file.startswith(b"\x89PNG")]
    for i, file in enumerate(dict.fromkeys(images)):
        yield f"golden{i}", file
    filters = b"".join(bytes([i]) + noise(4, 12 + i) for i in range(5))  # a row of each filter
    yield "filters", png(5, 4, 8, 0, filters)
    yield "interlaced", png(3, 3, 8, 0, b"\0\x01" + b"\0\x02\x03" * 2 + b"\0\x01\x02\x03", interlaced=1)
    yield "transparent", png(2, 2, 8, 2, b"\0" + noise(6, 20) + b"\0" + noise(6, 21), chunk(b"tRNS", bytes(6)))
    palette = chunk(b"PLTE", noise(12, 22)) + chunk(b"tRNS", noise(3, 23))
    yield "palette", png(2, 4, 2, 3, b"\0\x1b\0\xe4", palette)
    yield "deep", png(1, 2, 16, 6, b"\0" + noise(16, 24))


def exif(order, orientation):
    """An APP1 segment with one tag."""
    e = "<" if order == b"II" else ">"
    tiff = order + struct.pack(e + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", 2 + len(EXIF) + len(tiff)) + EXIF + tiff


def jpeg_files():
    images = list(dict.fromkeys(file for file in golden_images() if file.startswith(b"\xff\xd8")))
    for i, file in enumerate(images):
        yield f"golden{i}", file
    yield "exif_little", images[0][:2] + exif(b"II", 6) + images[0][2:]
    yield "exif_big", images[0][:2] + exif(b"MM", 3) + images[0][2:]


def pixel(y, x, c, bits):
    """What tests/mae/test_tiff.cpp expects of every file but the palette's."""
    value = (7 * y + 13 * x + 29 * c) % 256
    return value / 8 if bits == 32 else value * (257 if bits == 16 else 1)


def tiff(height, width, samples, bits=8, *, block=None, planes=False, deflate=False, order="<", big=False, tags={}):
    """block: (rows, width) of tiles, or rows of strips; one strip without it. tags: more, or others: number -> values."""
    kinds = {1: "B", 3: "H", 4: "I", 16: "Q"}

    def sample(y, x, c):
        value = pixel(y, x, c, bits) if y < height and x < width else 0
        return struct.pack(order + {8: "B", 16: "H", 32: "f"}[bits], value)

    tiles = isinstance(block, tuple)
    rows, columns = block if tiles else (block or height, width)
    blocks = []
    for plane in range(samples) if planes else [None]:
        for top in range(0, height, rows):
            for left in range(0, width, columns):
                bottom = top + rows if tiles else min(top + rows, height)
                data = b"".join(sample(y, x, c) for y in range(top, bottom) for x in range(left, left + columns)
                                for c in (range(samples) if plane is None else [plane]))
                blocks.append(zlib.compress(data, 9) if deflate else data)
    width_of_offset = 8 if big else 4
    head = b"II" if order == "<" else b"MM"
    head += struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    start, offsets = len(head) + width_of_offset, []
    for data in blocks:
        offsets.append(start + sum(map(len, blocks[: len(offsets)])))
    sizes = [len(data) for data in blocks]
    entries = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * samples), 259: (3, [8 if deflate else 1]),
               262: (3, [2 if samples >= 3 else 1]), 277: (3, [samples]), 284: (3, [2 if planes else 1]),
               339: (3, [3 if bits == 32 else 1] * samples)}
    if tiles:
        entries |= {322: (3, [columns]), 323: (3, [rows]), 324: (4, offsets), 325: (4, sizes)}
    else:
        entries |= {273: (4, offsets), 278: (4, [rows]), 279: (4, sizes)}
    for number, values in tags.items():
        entries[number] = (3, values)
    body, more = start + sum(sizes), b""
    directory_size = (8 if big else 2) + len(entries) * (20 if big else 12) + width_of_offset
    directory = struct.pack(order + ("Q" if big else "H"), len(entries))
    for number, (kind, values) in sorted(entries.items()):
        data = struct.pack(order + str(len(values)) + kinds[kind], *values)
        if len(data) > width_of_offset:
            more, place = more + data, body + directory_size + len(more)
            data = struct.pack(order + ("Q" if big else "I"), place)
        directory += struct.pack(order + ("HHQ" if big else "HHI"), number, kind, len(values))
        directory += data.ljust(width_of_offset, b"\0")
    directory += bytes(width_of_offset)
    return head + struct.pack(order + ("Q" if big else "I"), body) + b"".join(blocks) + directory + more


def tiff_files():
    yield "grey8", tiff(5, 6, 1)
    yield "rgb8_strips", tiff(7, 5, 3, block=2)
    yield "rgb16_big_endian", tiff(4, 5, 3, 16, order=">")
    yield "f32_planes", tiff(3, 4, 2, 32, planes=True, tags={262: [1], 338: [0]})
    yield "u16_tiles_planes", tiff(20, 18, 5, 16, block=(16, 16), planes=True, deflate=True, tags={338: [0, 0]})
    yield "rgb8_tiles_bigtiff", tiff(17, 33, 3, block=(16, 32), deflate=True, big=True)
    yield "rgba8", tiff(3, 3, 4, tags={338: [2]})
    yield "white_is_zero", tiff(3, 4, 1, tags={262: [0]})
    yield "palette", tiff(2, 3, 1, tags={262: [3], 320: [257 * (i % 256) for i in range(768)]})
    yield "turned", tiff(2, 3, 1, tags={274: [6]})


def tar(members, kind=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()[: 512 * (2 + sum(1 + -(-len(content) // 512) for _, content in members) + 8)]


def tar_files():
    small = png(2, 2, 8, 0, b"\0\1\2" * 2)
    samples = [("a/1.png", small), ("a/1.cls", b"3\n"), ("a/1.json", b"{}"), ("a/2.cls", b"0"), ("a/2.npy", b"no"),
               ("3.png", small)]
    yield "plain", tar(samples)
    yield "gzip", gzip.compress(tar(samples), mtime=0)
    long = "f" * 120 + "/\u00e9.png"
    yield "pax", tar([(long, small)], tarfile.PAX_FORMAT)
    yield "gnu", tar([(long, small)], tarfile.GNU_FORMAT)


def pickled_text(text):
    return b"X" + struct.pack("<I", len(text)) + text


def pickled_tensor(kind, key, count, offset, shape, stride, parameter=False):
    """The opcodes of torch._utils._rebuild_tensor_v2 and of the storage behind it."""
    storage = pickled_text(b"storage") + b"ctorch\n" + kind + b"Storage\n" + pickled_text(key) + pickled_text(b"cpu")
    sizes, strides = (b"(" + b"".join(b"K" + bytes([n]) for n in numbers) + b"t" for numbers in (shape, stride))
    ordered = b"ccollections\nOrderedDict\n)R"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((" + storage + b"K" + bytes([count]) + b"tQK" + bytes([offset])
    tensor += sizes + strides + b"\x89" + ordered + b"tR"
    return b"ctorch._utils\n_rebuild_parameter\n(" + tensor + b"\x88" + ordered + b"tR" if parameter else tensor


def pickled_dict(**members):
    return b"}(" + b"".join(pickled_text(name.encode()) + value for name, value in members.items()) + b"u"


def pickle_files():
    """Storage 0 has 64 bytes and storage 1 has 56: see fuzz_pickle.cpp."""
    float_ = pickled_tensor(b"Float", b"0", 16, 2, [2, 3], [1, 4])
    long = pickled_tensor(b"Long", b"1", 7, 0, [7], [1])
    half = pickled_tensor(b"BFloat16", b"0", 32, 31, [], [], parameter=True)
    yield "tensors", b"\x80\x02" + pickled_dict(a=float_, b=long, c=half) + b"."
    namespace = b"cargparse\nNamespace\n)\x81}(" + pickled_text(b"lr") + b"G\x3f\xe0\0\0\0\0\0\0ub"
    beside = pickled_dict(
        epoch=b"K\x03", lr=b"G\x3f\xe0\0\0\0\0\0\0", args=namespace, model=pickled_dict(**{"module.w": float_}),
        sizes=b"](K\x01M\x01\x02J\xff\xff\xff\xffe", seed=b"\x8a\x05\0\0\0\0\x01", none=b"N\x88\x86", raw=b"C\x01\xff")
    yield "training", b"\x80\x02" + beside + b"."
    frame = b"\x8c\x05torch\x94\x8c\x04Size\x94\x93\x94(K\x02K\x03t\x85R\x94h\x00\x8c\x05int64\x93\x94"
    nested = b"}\x94" + pickled_text(b"n") + pickled_dict(x=long) + b"s"
    yield "protocol4", b"\x80\x04\x95\x20\0\0\0\0\0\0\0" + nested + frame + b"00."
    yield "memo", b"\x80\x02]q\x01(h\x01h\x01e]r\2\0\0\0j\x01\0\0\0a\x86."
    yield "system", b"\x80\x02cposix\nsystem\n" + pickled_text(b"ls") + b"\x85R."


def pth_files():
    for name in ["plain", "training", "views", "parameters", "nested", "old"]:
        yield name, (HERE.parent / "golden" / "pth" / f"{name}.pth").read_bytes()


def toml_files():
    yield "keys", b'model = "mae_vit_tiny_patch16"\nbatch = 8\nmask_ratio = 0.75\nnorm_pix = true\n'
    yield "lists", b"image_size = [32, 16]\nmean = [0.5, 0.5, 0.5]\nstd = 0.25\nkernels = [\"matmul=reference\", 'b']\n"
    yield "tables", b'[Model]\nPositions = "learned"\n[model]\npositions = "learned"\n[run]\ncommand = "mae"\n'
    yield "values", b"a = 0x1F\nb = 1e-3\nc = inf\nd = 1979-05-27T07:32:00Z\ne = {x = 1, y.z = [2]}\n[[f]]\ng = '''h'''\n"
    yield "texts", b'save_every = "10m"\ndata = "\\u00e9\\n"\npatch_order = """channel_row_column"""\ninit = \'pytorch\'\n'


def main():
    targets = {
        "safetensors": safetensors_files,
        "idx": idx_files,
        "cifar": cifar_files,
        "npy": npy_files,
        "csv": csv_files,
        "packed": packed_files,
        "png": png_files,
        "jpeg": jpeg_files,
        "tiff": tiff_files,
        "tar": tar_files,
        "toml": toml_files,
        "pickle": pickle_files,
        "pth": pth_files,
    }
    for target, files in targets.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
