#!/usr/bin/env bash
# bench/million_tree.sh [FILES] [FOLDER]: how long a data set of FILES images (1,000,000) takes to start, and how much
# memory. Makes a tree of 8 x 8 PNGs in 1,000 class folders under FOLDER (the temporary folder), measures on it
# `mae data --images 1`, which is little more than opening it, and `mae pretrain --stop-after 1`, and removes it.
#
# MAE is the program (build/release/mae). A million files take 4 GB of disk. Cold is after the caches were dropped, which
# takes root; without it that row is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly files=${1:-1000000} classes=1000 mae=${MAE:-$PWD/build/release/mae}
root=$(mktemp -d "${2:-${TMPDIR:-/tmp}}/mae-tree-XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir "$root/tree"

python3 - "$root/tree" "$files" "$classes" <<'PYTHON'
import os, struct, sys, zlib

tree, files, classes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def png(value):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((value * 7 + y * 31 + x * 11) % 256 for x in range(8)) for y in range(8))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


for c in range(classes):
    folder = os.path.join(tree, f"n{10000000 + c}")
    os.mkdir(folder)
    image = png(c)
    for i in range(files // classes):
        with open(os.path.join(folder, f"n{10000000 + c}_{i}.png"), "wb") as file:
            file.write(image)
PYTHON

options=(--data "$root/tree" --image-size 8 --channels 1 --mean 0.5 --std 0.3 --patch 4 --dim 16 --depth 1 --heads 2
  --decoder-dim 8 --decoder-depth 1 --decoder-heads 2 --batch 64 --epochs 1 --warmup-epochs 0 --pictures 0 --stop-after 1)

measure() {  # label, command: its seconds and its memory
  python3 - "$@" <<'PYTHON'
import resource, subprocess, sys, time

start = time.monotonic()
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{sys.argv[1]}: {seconds:.1f} s ({used.ru_utime:.1f} s user, {used.ru_stime:.1f} s system), "
      f"peak {used.ru_maxrss / 1024:.0f} MiB")
PYTHON
}
drop_caches() { sync && echo 3 2>/dev/null >/proc/sys/vm/drop_caches; }

echo "$files files in $classes folders"
for command in data pretrain; do
  arguments=(data "$root/tree" --images 1)
  if [[ $command == pretrain ]]; then arguments=(pretrain "${options[@]}" --out "$root/run"); fi
  if drop_caches; then measure "mae $command, cold" "$mae" "${arguments[@]}"; fi
  rm -rf "$root/run"
  measure "mae $command, warm" "$mae" "${arguments[@]}"
  rm -rf "$root/run"
done
