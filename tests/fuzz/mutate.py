"""Feeds mutated copies of good files to `mae`: images, IDX, tar shards, tables, configs, checkpoints.

    /usr/bin/python3 tests/fuzz/mutate.py build/asan/mae 10000 [first]

Each run must end with an exit code that docs/training.md names, without a signal and without a word of a sanitizer;
with one error where it refuses and none where it does not; and whatever it leaves must be whole: no *.partial, no half
picture, log line or checkpoint; nothing at all where `mae reconstruct` refuses. Run i depends on i alone.
"""

import collections
import gzip
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

import make_corpus

SMALL = (
    "--image-size 16 --channels 1 --mean 0.5 --std 0.25 --patch 4 --dim 8 --depth 1 --heads 1 --decoder-dim 8 "
    "--decoder-depth 1 --decoder-heads 1 --batch 8 --epochs 1 --warmup-epochs 0 --pictures 0"
).split()
SECONDS = 120
EVIL = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]


def mutated(data, random_):
    """One to eight changes: bits, bytes, numbers, cuts, copies."""
    data = bytearray(data)
    for _ in range(random_.choice([1, 1, 2, 4, 8])):
        at = random_.randrange(len(data) + 1)
        size = random_.choice([1, 2, 4, 8, 32])
        change = random_.randrange(6)
        if change == 0 and at < len(data):
            data[at] ^= 1 << random_.randrange(8)
        elif change == 1:
            data[at : at + size] = random_.randbytes(size)
        elif change == 2:
            data[at : at + size] = random_.choice(EVIL).to_bytes(8, random_.choice(["big", "little"]))[:size]
        elif change == 3:
            del data[at : at + size * random_.choice([1, 100])]
        elif change == 4:
            source = random_.randrange(len(data) + 1)
            data[at:at] = data[source : source + size]
        elif change == 5 and random_.random() < 0.3:
            del data[at:]
    return bytes(data)


def png_chunks(data):
    """(type, content, whether its checksum holds) of each chunk, up to the end or a chunk that is cut."""
    at = 8
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        chunk = data[at : at + 12 + size]
        if len(chunk) < 12 + size:
            return
        kind, content = chunk[4:8], chunk[8 : 8 + size]
        yield kind, content, chunk == make_corpus.chunk(kind, content)
        at += 12 + size


def mutated_png(data, random_):
    """A change inside one chunk, with the right length and checksum."""
    chunks = [(kind, content) for kind, content, _ in png_chunks(data)]
    which = random_.randrange(len(chunks))
    kind, content = chunks[which]
    chunks[which] = (kind, mutated(content, random_))
    return data[:8] + b"".join(make_corpus.chunk(*c) for c in chunks)


def mutated_checkpoint(data, random_):
    """A change of the header alone or anywhere, in half of the cases behind the back of the checksum."""
    if random_.random() < 0.5:
        data = data.replace(b'"crc32"', b'"crc00"')
    if random_.random() < 0.5:
        return mutated(data, random_)
    size = struct.unpack("<Q", data[:8])[0]
    header = mutated(data[8 : 8 + size], random_)
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def png_is_whole(data):
    chunks = list(png_chunks(data))
    size = 8 + sum(12 + len(content) for _, content, _ in chunks)
    return size == len(data) and all(holds for _, _, holds in chunks) and chunks[-1][0] == b"IEND"


def checkpoint_is_whole(data):
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    stated = header.pop("__metadata__")["crc32"]
    end = max(t["data_offsets"][1] for t in header.values())
    place = data.index(b'"crc32":"') + 9
    return len(data) == 8 + size + end and zlib.crc32(data[:place] + b"0" * 8 + data[place + 8 :]) == int(stated, 16)


def is_whole(path):
    data = path.read_bytes()
    if path.suffix == ".png":
        return png_is_whole(data)
    if path.suffix == ".safetensors":
        return checkpoint_is_whole(data)
    if path.suffix == ".jsonl" or path.name == "log.txt":  # the official code's log: a JSON object a line
        return (not data or data.endswith(b"\n")) and all(json.loads(line) is not None for line in data.splitlines())
    return path.suffix == ".toml" and data.endswith(b"\n")


class Bench:
    """Good files, and one command for each kind of bad one."""

    def __init__(self, mae, folder):
        self.mae, self.folder = mae, folder
        self.out, self.bad = folder / "out", folder / "bad"
        images = make_corpus.idx(0x08, [16, 16, 16], make_corpus.noise(4096, 1))
        (folder / "train-images-idx3-ubyte").write_bytes(images)
        good = ["--out", str(folder / "good"), "--save-every", "0.5"]
        self.run(["pretrain", "--data", str(folder / "train-images-idx3-ubyte"), *SMALL, *good])
        self.checkpoint = max((folder / "good" / "checkpoints").iterdir())
        self.config = folder / "good" / "config.toml"
        self.pngs = [data for _, data in make_corpus.png_files()]
        self.others = {
            "jpg": [data for _, data in make_corpus.jpeg_files()],
            "npy": [data for _, data in make_corpus.npy_files()],
            "tif": [data for _, data in make_corpus.tiff_files()],
        }
        shard = make_corpus.tar([(f"{i}.png", self.pngs[0]) for i in range(8)] + [("7.cls", b"3\n")])
        self.shards = [("bad.tar", shard), ("bad.tgz", gzip.compress(shard, mtime=0))]
        tables = dict(make_corpus.csv_files())
        self.tables = [
            ("bad.csv", tables["table"] + b"a.png,cat,train\n" * 8),
            ("bad.csv", tables["numbers"] + b'"b.png","1"\r\n' * 8),
            ("bad.txt", tables["list"] + b"a.png\n" * 8),
        ]
        self.images = [images, gzip.compress(images, mtime=0)]
        (folder / "image.png").write_bytes(self.pngs[0])

    def run(self, words):
        limits = "max_allocation_size_mb=1024:hard_rss_limit_mb=3072"
        environment = dict(os.environ, OMP_NUM_THREADS="1", ASAN_OPTIONS=limits)
        return subprocess.run([self.mae, *words], capture_output=True, timeout=SECONDS, env=environment, check=False)

    def put(self, name, data):
        (self.bad / name).write_bytes(data)
        return str(self.bad / name)

    def reconstruct(self, image, checkpoint=None):
        picture = ["--out", str(self.out / "strip.png")]
        return ["reconstruct", "--checkpoint", checkpoint or str(self.checkpoint), image, *picture]

    def pretrain(self, data, *more):
        return ["pretrain", "--data", data, "--out", str(self.out / "run"), *SMALL, *more, "--stop-after", "1"]

    def image(self, r):
        kind = r.choice(["png", "png", *self.others])
        if kind == "png":
            change = mutated if r.random() < 0.2 else mutated_png
            data = change(r.choice(self.pngs), r)
        else:
            data = mutated(r.choice(self.others[kind]), r)
        return self.reconstruct(self.put("bad." + kind, data))

    def idx(self, r):
        return self.pretrain(self.put("train-images-idx3-ubyte", mutated(r.choice(self.images), r)))

    def shard(self, r):
        name, content = r.choice(self.shards)
        return self.pretrain(self.put(name, mutated(content, r)))

    def table(self, r):
        for name in "ab":
            (self.bad / f"{name}.png").write_bytes(self.pngs[0])
        name, rows = r.choice(self.tables)
        return self.pretrain(self.put(name, mutated(rows, r)))

    def toml(self, r):
        return ["plan", "--config", self.put("bad.toml", mutated(self.config.read_bytes(), r)), "--batch", "8"]

    def checkpoint_file(self, r):
        bad = self.put("bad.safetensors", mutated_checkpoint(self.checkpoint.read_bytes(), r))
        if r.random() < 0.5:
            return ["inspect", bad]
        return self.reconstruct(str(self.folder / "image.png"), bad)

    def resume(self, r):
        shutil.copytree(self.folder / "good", self.out / "run")
        newest = self.out / "run" / "checkpoints" / self.checkpoint.name
        newest.write_bytes(mutated_checkpoint(newest.read_bytes(), r))
        return self.pretrain(str(self.folder / "train-images-idx3-ubyte"), "--resume", "auto", "--epochs", "2")

    def verdict(self, words, done):
        """What is wrong with this run; nothing where all is well."""
        text = done.stderr.decode(errors="replace")
        errors = sum(line.startswith("error: ") for line in text.splitlines())
        if done.returncode not in (0, 1, 2, 3):
            return f"exit code {done.returncode}"
        if "Sanitizer" in text or "runtime error" in text:
            return "a sanitizer's report"
        if errors != (done.returncode != 0):
            return f"exit code {done.returncode} with {errors} errors"
        left = [path for path in self.out.rglob("*") if path.is_file()]
        if words[0] == "reconstruct" and bool(left) != (done.returncode == 0):
            return f"exit code {done.returncode} and {len(left)} files"
        resumed = "--resume" in words  # the checkpoint that was bent stays, or is set aside
        for path in left:
            bent = resumed and (path.name == self.checkpoint.name or path.suffix == ".damaged")
            if not bent and not is_whole(path):
                return f"{path.name} is not whole"
        return None

    def try_one(self, i):
        r = random.Random(i)
        kinds = [self.image, self.image, self.checkpoint_file, self.checkpoint_file, self.toml, self.toml, self.idx]
        kind = r.choice(kinds + [self.shard, self.table, self.resume])
        for folder in (self.out, self.bad):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        words = kind(r)
        try:
            done = self.run(words)
        except subprocess.TimeoutExpired:
            return kind.__name__, "hang", f"run {i}: still there after {SECONDS} s: {words}"
        wrong = self.verdict(words, done)
        if wrong:
            wrong = f"run {i}: {wrong}: mae {' '.join(words)}\n{done.stderr.decode(errors='replace')[-4000:]}"
        return kind.__name__, done.returncode, wrong


def main():
    mae, count = str(pathlib.Path(sys.argv[1]).resolve()), int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    codes, failures = collections.Counter(), 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # each run waits for a disk several times
    with tempfile.TemporaryDirectory(prefix="mae-mutate-", dir=memory) as folder:
        bench = Bench(mae, pathlib.Path(folder))
        for i in range(first, first + count):
            kind, code, wrong = bench.try_one(i)
            codes[f"{kind} {code}"] += 1
            failures += wrong is not None
            if wrong:
                print(wrong, flush=True)
            if (i + 1 - first) % 500 == 0:
                print(f"{i + 1 - first} runs, {failures} failures", flush=True)
    for name in sorted(codes):
        print(f"{codes[name]:6} {name}")
    print(f"{count} runs, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
