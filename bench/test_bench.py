"""bench/test_bench.py mae: `mae bench kernels` on small shapes, what it refuses, and how its results are joined with a
peer's."""

import json
import os
import pathlib
import shutil
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
    command = [program, "bench", "kernels", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


# ---- the door -------------------------------------------------------------------------------------------------------


def test_door():
    def door(mae, *arguments):
        return subprocess.run([mae, *arguments], capture_output=True, text=True, timeout=60)

    assert "\n  bench " in door(program, "--help").stdout
    listed = door(program, "bench")
    assert listed.returncode == 0 and "\n  kernels " in listed.stdout, listed
    near = door(program, "bench", "kernel")
    assert near.returncode == 2 and "try: mae bench kernels\n" in near.stderr, near
    with tempfile.TemporaryDirectory() as folder:
        alone = shutil.copy(program, folder)
        missing = door(alone, "bench", "kernels", "--list")
    assert missing.returncode == 1 and "--target mae_bench" in missing.stderr and folder in missing.stderr, missing


# ---- kernels --------------------------------------------------------------------------------------------------------


def test_small_shapes():
    with tempfile.TemporaryDirectory() as folder:
        path, table, picture = (pathlib.Path(folder) / f"out.{kind}" for kind in ("json", "md", "png"))
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
            "--max-time=0.004",
            "--json",
            str(path),
            "--markdown",
            str(table),
            "--picture",
            str(picture),
        )
        assert done.returncode == 0, done
        (one,) = json.loads(path.read_text())["runs"]
        markdown = table.read_text()
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert one["device"] == "cpu" and one["commit"] and one["date"] and one["driver"] == "none", one
    assert one["ceilings"]["copy"]["gb_per_s"] > 0 and set(one["ceilings"]["product"]) == {"f32", "bf16"}, one[
        "ceilings"
    ]
    assert set(one["ceilings"]["fma"]) == {"f32", "bf16"} and one["ceilings"]["fma"]["f32"]["gflop_per_s"] > 0, one
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
        assert 0 <= r["median_within_percent"] and r["hot_us"] > 0 and r["percent_of_peak"] > 0, r
        for text in (done.stdout, markdown):
            assert r["kernel"] in text and r["row"] in text
    (norm,) = {r["variation"] for r in timed if r["kernel"] == "layernorm_forward"}  # one: the first that fits
    views = {v["name"]: v["role"] for r in timed if r["variation"] == norm for v in r["views"]}
    assert views["mean"] == "output" and "residual" not in views, views
    refusing = {(r["row"], r["refuses"]) for r in one["results"] if "refuses" in r}
    assert any(row == "fast" and "f32 only" in why for row, why in refusing), refusing
    check_blocks(done.stdout, one["results"])
    assert "| fast | refuses: " in markdown and "| row | cold us | " in markdown, markdown


def check_blocks(text, results):
    """One block a work: its rows by time, then those that refuse; nothing is wider than a terminal."""
    assert max(map(len, text.splitlines())) <= 100, text
    blocks = [b.splitlines() for b in text.split("\n\n") if "variation" in b]
    works = {(r["kernel"], r["shape"], r["dtype"], r["variation"]) for r in results}
    assert len(blocks) == len(works) == 2, text
    for heading, views, head, *rows in blocks:
        assert "(floor " in heading and " -> " in views and head.split()[:3] == ["row", "cold", "us"], heading
        kernel, dtype = heading.split("  ")[0], heading.split("  ")[2]
        of = [r for r in results if (r["kernel"], r["dtype"]) == (kernel, dtype)]
        timed = sorted((r for r in of if "median_us" in r), key=lambda r: r["median_us"])
        assert [row.split()[0] for row in rows][: len(timed)] == [r["row"] for r in timed], (rows, timed)
        assert sum(" refuses: " in row for row in rows) == sum("refuses" in r for r in of), rows


def test_once():
    case = ["--device", "cpu", "--kernel", "gelu_forward", "--shape", "R=24 C=32", "--dtype"]
    assert run(*case, "f32", "--once", "fast").returncode == 0
    refused = run(*case, "bf16", "--once", "fast")
    assert refused.returncode in (1, 2) and "gelu_forward=fast refuses: " in refused.stderr, refused
    several = run("--device", "cpu", "--kernel", "gelu_forward", "--once", "fast")
    assert several.returncode in (1, 2) and "one launch is wanted, and" in several.stderr, several


def test_refusals():
    for arguments, words in [
        (["--fast"], "no such flag\nwhere: --fast"),
        (["--kernls=x"], "try: --kernel\n"),
        (["--rounds"], "--rounds: 1 required TEXT missing"),
        (["--rounds", "x"], '"x" should be a whole number\nwhere: --rounds'),
        (["--rounds", "0"], "0 is less than 1\nwhere: --rounds"),
        (["--json", "nowhere/out.json"], "where: --json"),
        (["--device", "simt"], "knows nothing of speed"),
        (["--device", "h100-80"], "made up"),
        (["--device", "toaster"], "no such device"),
        (["--kernel", "fly"], 'no kernel "fly"'),
        (["--kernel", "layernorm_forwad"], "try: layernorm_forward\n"),
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
        assert done.returncode in (1, 2) and words in done.stderr, (arguments, done)
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") <= 3, (arguments, done)


def test_every_kernel_is_listed():
    listed = run("--device", "cpu", "--list")
    kernels = {line.split()[1] for line in listed.stdout.splitlines()}
    assert listed.returncode == 0 and kernels >= {
        "matmul",
        "attention_backward",
        "adamw",
        "token_scatter_forward",
    }, kernels


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
