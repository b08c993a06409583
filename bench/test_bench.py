"""bench/test_bench.py bench_kernels: the program on small shapes, what it refuses, and how its results are joined with
a peer's."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
import compare  # noqa: E402
import comparisons  # noqa: E402

program = sys.argv[1]
os.environ["OMP_NUM_THREADS"] = "1"  # small shapes on a busy machine: threads would wait for each other


def run(*arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)


# ---- bench_kernels --------------------------------------------------------------------------------------------------


def test_small_shapes():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "out.json"
        done = run(
            "--device",
            "cpu",
            "--case",
            "layernorm_forward R=24 C=32 f32 +mean:output -residual",
            "--case",
            "gelu_forward R=24 C=32 bf16",
            "--case=fly N=1",
            "--skip-unknown",
            "--min-time",
            "0.002",
            "--rounds=2",
            "--json",
            str(path),
        )
        assert done.returncode == 0, done
        (one,) = json.loads(path.read_text())["runs"]
    assert one["device"] == "cpu" and one["commit"] and one["date"] and one["driver"] == "none", one
    assert one["ceilings"]["copy"]["gb_per_s"] > 0 and set(one["ceilings"]["product"]) == {"f32", "bf16"}, one[
        "ceilings"
    ]
    assert len(one["not_run"]) == 1 and "fly" in one["not_run"][0], one["not_run"]
    timed = [r for r in one["results"] if "median_us" in r]
    assert {(r["kernel"], r["row"], r["dtype"]) for r in timed} >= {
        ("layernorm_forward", "fast", "f32"),
        ("layernorm_forward", "reference", "f32"),
        ("gelu_forward", "widened", "bf16"),
    }, timed
    for r in timed:
        assert 0 < r["p10_us"] <= r["median_us"] <= r["p90_us"] and r["floor_us"] > 0 and r["percent_of_floor"] > 0, r
        assert r["check"]["verdict"] == "passed" and r["check"]["relative_l2"] <= r["check"]["bound"], r
        assert r["operand_sets"] >= 4 and r["samples"] >= 1 and r["gb_per_s"] > 0, r
        assert r["kernel"] in done.stdout and r["row"] in done.stdout
    (norm,) = {r["variation"] for r in timed if r["kernel"] == "layernorm_forward"}  # one: the first that fits
    views = {v["name"]: v["role"] for r in timed if r["variation"] == norm for v in r["views"]}
    assert views["mean"] == "output" and "residual" not in views, views
    refusing = {(r["row"], r["refuses"]) for r in one["results"] if "refuses" in r}
    assert any(row == "fast" and "f32 only" in why for row, why in refusing), refusing


def test_refusals():
    for arguments, words in [
        (["--fast"], "no option --fast"),
        (["--rounds"], "needs a value"),
        (["--rounds", "x"], "not a number"),
        (["--device", "simt"], "knows nothing of speed"),
        (["--device", "h100-80"], "made up"),
        (["--device", "toaster"], "no such device"),
        (["--kernel", "fly"], 'no kernel "fly"'),
        (["--kernel", "fill", "--row", "fly"], 'no row "fly" on cpu in fill: reference'),
        (["--shape", "R=1 C=1"], "say which by --kernel"),
        (["--kernel", "fill", "--shape", "R=1 Q=1"], "no size Q"),
        (["--kernel", "fill", "--shape", "R=1"], "size C is missing"),
        (["--kernel", "fill", "--shape", "R=1 C=0"], "C=0"),
        (["--dtype", "f16"], 'the type "f16"'),
        (["--case", "fill"], "no sizes"),
        (["--case", "fill R=1 C=1 +lse"], "no variation has these views"),
    ]:
        device = [] if "--device" in arguments else ["--device", "cpu"]
        done = run(*device, *arguments)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, (arguments, done)


def test_every_kernel_is_listed():
    listed = run("--device", "cpu", "--list")
    kernels = {line.split()[1] for line in listed.stdout.splitlines()}
    assert listed.returncode == 0 and kernels >= {
        "matmul",
        "attention_backward",
        "adamw",
        "token_scatter_forward",
    }, kernels


# ---- bench_kernels loader -------------------------------------------------------------------------------------------


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
    for arguments, words in [
        ([], "no data set"),
        (["--data", "nowhere"], "does not exist"),
        (["--size", "0"], "not a number from 1"),
        (["--fast"], "no such option"),
        (["--json"], "needs a value"),
    ]:
        done = run("loader", *arguments)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, (arguments, done)


# ---- compare: made-up numbers ---------------------------------------------------------------------------------------


def made_up_row(part, row, us, **other):
    views = [
        {
            "name": name,
            "role": what if what in ("input", "output") else "output",
            "dtype": what if what not in ("input", "output") else "bf16",
            "shape": "(1)",
        }
        for name, what in part["has"].items()
    ]
    return {
        "kernel": part["kernel"],
        "row": row,
        "vendor": False,
        "shape": part["shape"],
        "dtype": part["dtype"],
        "variation": 0,
        "median_us": us,
        "p10_us": us,
        "p90_us": us,
        "floor_us": us / 2,
        "reduced_precision": False,
        "views": views,
        "check": {"verdict": "passed"},
        **other,
    }


def made_up_run(results):
    return {
        "name": "a made-up device",
        "driver": "none",
        "commit": "none",
        "date": "never",
        "results": results,
        "ceilings": {"copy": {"gb_per_s": 1}, "product": {}},
    }


def test_compare():
    by_name = {e["name"]: e for e in comparisons.entries()}
    attention = by_name["attention_forward B=256 T=50 H=12 D=64"]
    path = next(e for name, e in by_name.items() if name.startswith("optimizer_path"))
    (part,), (norm, update) = attention["ours"], path["ours"]
    before = [
        made_up_row(part, "short", 10),
        made_up_row(part, "wrong", 1, check={"verdict": "failed"}),
        made_up_row(part, "rounding", 2, reduced_precision=True),
        made_up_row(part, "cudnn", 5, vendor=True),
        made_up_row({**part, "has": {}}, "plain", 3, variation=1),
        made_up_row(part, "naive", 70),
        made_up_row(norm, "warp", 4),
        made_up_row(update, "elements", 6),
        {"kernel": part["kernel"], "row": "other", "shape": part["shape"], "dtype": "bf16", "refuses": "why not"},
    ]
    behind = [made_up_row(part, "short", 12)]
    peers = {
        "results": [
            {
                "name": attention["name"],
                "contenders": [
                    {"contender": "flash", "median_us": 44},
                    {"contender": "cudnn", "median_us": 33},
                    {"contender": "math", "refuses": "it does not like this"},
                ],
            },
            {"name": path["name"], "contenders": [{"contender": "path", "median_us": 17}]},
        ]
    }
    lines = {
        line["name"]: line for line in compare.compare({"runs": [made_up_run(before), made_up_run(behind)]}, peers)
    }
    assert len(lines) == len(by_name)

    line = lines[attention["name"]]
    assert line["ours"]["row"] == "short" and line["ours"]["us"] == 11 and line["best_peer"] == "cudnn", line
    assert line["ratio"] == 3 and line["met"] is True and abs(line["ours"]["drift_percent"] - 200 / 11) < 1e-9, line
    assert {r["row"] for rows in line["rows"] for r in rows} == {"short", "naive", "cudnn"}, line
    line = lines[path["name"]]
    assert line["ours"]["us"] == 10 and line["ours"]["row"] == "warp + elements" and line["ratio"] == 1.7, line
    assert line["met"] is False, line
    missing = lines["attention_backward B=256 T=50 H=12 D=64"]
    assert missing["ours"] is None and missing["met"] is None and missing["ratio"] is None, missing

    text = compare.markdown(lines.values())
    assert "| 3.00 | 3x best | yes |" in text and "**no**" in text and "not measured" in text, text
    assert "1 met, 1 not met" in compare.verdict_text(list(lines.values()))


def test_compare_command():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in ("a", "b"):
            (root / f"{name}.json").write_text(json.dumps({"runs": [made_up_run([])]}))
        (root / "peers.json").write_text(json.dumps({"results": []}))

        def command(*arguments):
            return subprocess.run(
                [sys.executable, here / "compare.py", *arguments], cwd=root, capture_output=True, text=True
            )

        assert command("--join", "ours.json", "a.json", "b.json").returncode == 0
        assert len(json.loads((root / "ours.json").read_text())["runs"]) == 2
        done = command("ours.json", "peers.json", "--out", ".")
        assert done.returncode == 0 and "0 met, 0 not met" in done.stdout, done
        assert "not timed" in (root / "comparison.md").read_text()
        assert len(json.loads((root / "comparison.json").read_text())["lines"]) == len(comparisons.entries())
        assert command("ours.json").returncode == 2
        (root / "peers.json").write_text(json.dumps({"tiny": True, "results": []}))
        assert "--tiny" in command("ours.json", "peers.json").stderr


# ---- peers, where PyTorch is ----------------------------------------------------------------------------------------


def test_peers():
    python = os.environ.get("MAE_PYTHON", sys.executable)
    script = here / "peers" / "kernels.py"
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "peers.json"
        for only in ("attention_backward B=64 T=50", "optimizer_path"):
            done = subprocess.run(
                [
                    python,
                    script,
                    "--device",
                    "cpu",
                    "--tiny",
                    "--min-time",
                    "0.001",
                    "--rounds",
                    "1",
                    "--only",
                    only,
                    "--json",
                    path,
                ],
                capture_output=True,
                text=True,
            )
            if done.returncode == 3:
                assert "PyTorch is not installed" in done.stderr, done
                print("peers: not tried, no PyTorch here")
                return
            assert done.returncode == 0, done
            results = json.loads(path.read_text())["results"]
            names = {e["name"] for e in comparisons.entries()}
            assert results and all(r["name"] in names for r in results), results
            assert any("median_us" in c for r in results for c in r["contenders"]), results


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: as it should be")
