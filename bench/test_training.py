"""bench/test_training.py mae: `mae bench step` and `mae bench loader`, small, and what they refuse."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
program = sys.argv[1]
os.environ["OMP_NUM_THREADS"] = "1"  # small shapes on a busy machine: threads would wait for each other
TINY = "--image-size 16 --patch 4 --dim 16 --depth 1 --heads 2 --decoder-dim 16 --decoder-depth 1 --decoder-heads 2".split()


def run(*arguments, lines=""):
    command = [program, "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, input=lines)


def refused(*arguments, words):
    done = run(*arguments)
    assert done.returncode in (1, 2) and words in done.stderr, (arguments, done)


def test_step():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "step.json"
        done = run("step", *TINY, "--batch", "2,4", "--seconds", "0.01", "--profile", "kernel", "--json", str(path))
        assert done.returncode == 0, done
        out = json.loads(path.read_text())
    assert [result["batch"] for result in out["results"]] == [2, 4], out
    for result in out["results"]:
        assert result["samples"] >= 3 and 0 < result["p10_us"] <= result["median_us"] <= result["p90_us"], result
        assert result["launches"] > 50 and result["peak_bytes"] > 0 and 0 < result["loss"] < 10, result
    assert out["model"]["parameters"] > 1000 and out["model"]["model"].startswith("16x16x3 patch 4"), out
    assert out["threads"] == 1 and out["dtype"] == "f32" and out["ceilings"]["product"], out
    assert {(result["input"], result["launch"]) for result in out["results"]} == {("ready", "graph")}, out
    for word in ("batch", "images/s", "% of peak", "matmul=", "adamw=", "ms a step in all"):
        assert word in done.stdout, (word, done.stdout)
    assert "waited" not in done.stdout and "data" not in out, done


def write_images(folder, count, side, channels):
    """A data set in IDX format."""
    shape = (count, side, side, channels)
    pixels = bytes(i * 37 % 251 for i in range(count * side * side * channels))
    (folder / "train-images-idx4-ubyte").write_bytes(bytes([0, 0, 8, 4]) + struct.pack(">IIII", *shape) + pixels)


def test_step_inputs():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_images(folder, 5, 16, 3)  # an epoch of two steps, so many epochs are timed
        inputs = ["--input", "ready,loader,resident", "--data", name, "--no-augment", "--launch", "graph,eager"]
        common = [*TINY, "--batch", "2", "--seconds", "0.01"]
        done = run("step", *common, *inputs, "--profile", "kernel", "--json", str(folder / "step.json"))
        assert done.returncode == 0, done
        out = json.loads((folder / "step.json").read_text())
        served = run("step", *common, "--input", "loader", "--data", name, "--serve", lines="run 5\n")
        small = run("step", *TINY, "--batch", "6", "--input", "loader", "--data", name)
    wanted = [(way, launch) for way in ("ready", "loader", "resident") for launch in ("graph", "eager")]
    assert [(result["input"], result["launch"]) for result in out["results"]] == wanted, out
    for result in out["results"]:
        assert result["median_us"] > 0 and 0 < result["loss"] < 10, result
        assert ("percent_waited" in result) == (result["input"] == "loader"), result
        if result["input"] == "loader":
            assert 0 <= result["percent_waited"] <= 100 and result["first_batch_s"] > 0, result
    data = out["data"]
    assert data["images"] == 5 and data["workers"] == 1 and data["augment"] is False and data["open_s"] > 0, data
    assert "% waited" in done.stdout and "loader: 5 images, IDX, 1 worker, fitted" in done.stdout, done
    ready, five, _ = [json.loads(line) for line in served.stdout.splitlines()]
    assert ready["input"] == "loader" and ready["data"]["images"] == 5 and ready["data"]["first_batch_s"] > 0, ready
    assert len(five["seconds"]) == 5, served
    assert small.returncode == 1 and "batch of 6 from 5 images" in small.stderr, small


def test_serve():
    done = run("step", *TINY, "--batch", "2", "--serve", lines="run 2\nrun 3\n")
    assert done.returncode == 0, done
    ready, two, three, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert ready["ready"] is True and ready["contender"] == "mae.cu" and ready["threads"] == 1, ready
    assert len(two["seconds"]) == 2 and len(three["seconds"]) == 3 and min(two["seconds"] + three["seconds"]) > 0
    assert end["peak_bytes"] > 1e6, end
    wrong = run("step", *TINY, "--batch", "2", "--serve", lines="walk 2\n")
    assert wrong.returncode != 0 and "is not a number of steps" in wrong.stderr, wrong


def test_describe():
    about = json.loads(run("step", "--describe").stdout)
    assert about["model"] == "mae_vit_base_patch16" and about["parameters"] == 111907840, about
    assert about["keep"] == 49 and abs(about["flops"] / 58.46e9 - 1) < 1e-3, about
    recipe = json.loads(run("step", "--describe", "--config", "apps/configs/fashion_mnist.toml").stdout)
    assert recipe["image_height"] == 28 and recipe["dim"] == 128, recipe


def test_loader():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        pixels = bytes(i * 37 % 251 for i in range(70 * 20 * 20))
        (folder / "train-images").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">III", 70, 20, 20) + pixels)
        photographs = folder / "photographs"
        photographs.mkdir()
        for seed in (here.parent / "tests" / "fuzz" / "corpus" / "jpeg").glob("golden*"):
            (photographs / f"{seed.name}.jpg").write_bytes(seed.read_bytes())
        sets = ["--data", str(folder / "train-images")]
        if "cannot read JPEG" not in run("loader", "--data", str(photographs), "--seconds", "0.01").stderr:
            sets += ["--data", str(photographs)]
        done = run("loader", *sets, "--size", "16", "--seconds", "0.01", "--json", str(folder / "out.json"))
        assert done.returncode == 0, done
        out = json.loads((folder / "out.json").read_text())
    assert out["commit"] and out["size"] == 16 and out["workers"] == 1, out
    array, *jpegs = out["results"]
    assert array["format"] == "IDX" and array["images"] == 64 and "libjpeg" not in array, array
    assert min(array[rate] for rate in ("in_all", "loader", "decode")) > 0, array
    for jpeg in jpegs:
        assert min(jpeg[rate] for rate in ("loader", "libjpeg", "resize", "percent_of_parts")) > 0, jpeg


def test_refusals():
    refused("loader", words="--data")
    refused("loader", "--data", "nowhere", words="does not exist")
    refused("loader", "--data", "nowhere", "--size", "0", words="not a number from 1")
    refused("loader", "--data", "nowhere", "--fast", words="no such flag")
    refused("step", "--batch", "0", words="one image")
    refused("step", "--seconds", "inf", words="--seconds")
    refused("step", "--warm-up", "-1", words="--warm-up")
    refused("step", "--serve", "--batch", "2,4", words="one batch")
    refused("step", "--serve", "--input", "ready,resident", words="one input")
    refused("step", "--input", "ready,loader", words="--data is missing")
    refused("step", "--input", "loader", "--data", "nowhere", words="does not exist")
    refused("step", "--input", "ready,disk", words='"disk" is none of ready,loader,resident')
    refused("step", "--launch", "", words='"" is none of graph,eager')
    refused("step", "--workers", "-1", words="--workers")
    refused("step", "--modle", "tiny", words="--model")
    refused("step", "--model", "tiny", words="mae_vit_tiny_patch16")


if __name__ == "__main__":
    os.chdir(here.parent)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(f"{name}: as it should be")
