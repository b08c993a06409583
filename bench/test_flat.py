"""bench/test_flat.py: flat.py with a program that makes its times up."""

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
import flat as program  # noqa: E402
import verdicts  # noqa: E402

# Stands for mae and mae_bench. An image takes 10 ms, and 5 ms in a batch of 32; with 2,000 images 12 ms.
STAND_IN = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
def value(flag):
    return words[words.index(flag) + 1]
def say(**line):
    print(json.dumps(line), flush=True)
if words[0] == "plan":
    say(run=dict(largest_batch=50))
    sys.exit()
if "--describe" in words:
    say(model=value("--model"), image_height=2, image_width=3, channels=1, flops=1e9)
    sys.exit()
batch, each, data = int(value("--batch")), 0.01, dict()
if "--data" in words:
    file = pathlib.Path(value("--data")) / "train-images-idx4-ubyte"
    images = int.from_bytes(file.read_bytes()[4:8], "big")
    assert file.stat().st_size == 20 + images * 6 and value("--input") == "loader", words
    each = 0.012 if images == 2000 else each
    data = dict(data=dict(images=images, open_s=images / 1e3, first_batch_s=0.5))
elif batch == 32:
    each = 0.005
open("diary", "a").write(f"{{batch}} {{data['data']['images'] if data else 'ready'}} {{words[-1]}}\\n")
say(ready=True, **data)
for line in sys.stdin:
    say(seconds=[each * batch] * int(line.split()[1]))
say(peak_bytes=1)
"""

COMMON = ["--model", "some_model", "--threads", "1", "--rounds", "3", "--seconds", "1", "--batch", "100"]


def flat(folder, *words):
    for name in ("mae", "mae_bench"):
        (folder / name).write_text(STAND_IN.format(python=sys.executable))
        (folder / name).chmod(0o755)
    command = [sys.executable, here / "flat.py", *COMMON, "--program", folder / "mae_bench", "--folder", folder, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def in_folder(test):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            test(pathlib.Path(folder))

    return run


@in_folder
def test_both_tables(folder):
    done = flat(folder, "--images", "1000,2000", "--json", "out.json", "--markdown", "out.md")
    assert done.returncode == 0, done
    turns = [line.split()[:2] for line in (folder / "diary").read_text().splitlines()]
    ready, loader = 3 * [["8", "ready"], ["16", "ready"], ["32", "ready"]], 3 * [["100", "1000"], ["100", "2000"]]
    assert turns == ready + loader, turns
    assert not list(folder.glob("flat*")), "the data sets are removed"

    record = json.loads((folder / "out.json").read_text())
    assert record["kind"] == "flat" and record["machine"]["cores"] >= 1 and record["commit"], record
    batches, images = record["batches"], record["images"]
    assert batches["largest"] == 50 and batches["capped"] is False, batches
    assert [result["batch"] for result in batches["results"]] == [8, 16, 32], batches
    assert abs(batches["results"][2]["ms_an_image"] - 5) < 1e-9, batches
    assert abs(batches["results"][2]["of_first"]["median"] - 0.5) < 1e-9, batches
    assert images["results"][1]["images"] == 2000 and images["results"][1]["open_s"] == 2, images

    text = (folder / "out.md").read_text()
    for row in (
        "| batch | ms an image | by the first | range | of minima |",
        "| 8 | 10 | 1.000 | 1.000 - 1.000 | 1.000 |",
        "| 32 | 5 | 0.500 | 0.500 - 0.500 | 0.500 |",
        "farthest from the first: batch 32, -50.0 %",
        "| images | ms an image | by the first | range | of minima | opened, s | first batch, s |",
        "| 2,000 | 12 | 1.200 | 1.200 - 1.200 | 1.200 | 2.000 | 0.500 |",
        "farthest from the first: images 2,000, +20.0 %",
        "the largest batch that fits is 50\n",
    ):
        assert row in text, (row, text)
    assert text.strip() == done.stdout.strip(), done.stdout

    lines, alone = verdicts.compare(record, record)  # compare.py reads it
    assert len(lines) == 5 and not alone, (lines, alone)


@in_folder
def test_a_cap_is_said(folder):
    done = flat(folder, "--images", "1000", "--most-batch", "31", "--", "--norm-pix")
    assert done.returncode == 0 and "--most-batch left out the larger ones" in done.stdout, done
    turns = (folder / "diary").read_text().splitlines()
    assert not any(line.startswith("32 ") for line in turns), turns


@in_folder
def test_what_cannot_be(folder):
    done = flat(folder, "--images", "1000,100000000000000")
    assert done.returncode == 1 and "the data sets take 600000.0 GB" in done.stderr, done
    assert not (folder / "diary").exists(), "refused before anything is timed"
    done = flat(folder, "--program", "nowhere/mae_bench")
    assert done.returncode == 1 and "--program names mae_bench" in done.stderr, done


def test_refusals():
    for words, why in [
        ([], "which model?"),
        (["--model", "m", "--images", "many"], "should be numbers"),
        (["--model", "m", "--images", "100"], "fills a --batch of 128"),
        (["--model", "m", "--rounds", "2"], "--rounds 3"),
        (["--model", "m", "--most-batch", "7"], "--most-batch is 8 at least"),
    ]:
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            try:
                program.parse(words)
                raise AssertionError(f"{words} were not refused")
            except SystemExit as end:
                assert end.code == 2 and why in errors.getvalue(), (words, errors.getvalue())


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: as it should be")
