"""bench/test_side_by_side.py: side_by_side.py with workers that make their times up, and what compare.py says of two of its
files."""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
import side_by_side as program  # noqa: E402
import step_report  # noqa: E402
import verdicts  # noqa: E402

# Stands for mae_bench and for a Python with PyTorch: steps of so many ms by contender, and a diary of who ran when.
STAND_IN = """#!{python}
import json, os, sys
words = sys.argv[1:]
if "--describe" in words:
    print(json.dumps(dict(model=words[words.index("--model") + 1], flops=5e9, parameters=7, option=words[-1])))
    sys.exit()
ours = "--serve" in words
name = "mae.cu" if ours else words[words.index("--contender") + 1] + ":" + words[words.index("--sdpa") + 1]
def say(**line):
    print(json.dumps(line), flush=True)
if name == "hf:auto":
    say(refuses="no such library")
    sys.exit()
if name == os.environ.get("DIES"):
    sys.exit("the memory is full")
print("what a library prints")
say(ready=True, parameters=7 if ours else 8, **({{}} if ours else dict(torch="9.9", product_gflop_per_s=42)))
step = {{"mae.cu": 0.5, "eager:auto": 1.0, "compile:flash": 0.75}}[name]
for line in sys.stdin:
    steps = int(line.split()[1])
    open("diary", "a").write(f"{{name}} {{steps}}\\n")
    say(seconds=[step] * steps)
say(peak_bytes=3000000)
"""


COMMON = ["--batch", "4", "--threads", "1", "--rounds", "3", "--seconds", "1"]


def side_by_side(folder, *words, dies="", model=("--model", "some_model")):
    stand_in = folder / "stand_in"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
    programs = ["--program", stand_in, "--python", stand_in]
    command = [sys.executable, here / "side_by_side.py", *model, *COMMON, *programs, *words]
    environment = {**os.environ, "DIES": dies}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def in_folder(test):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            test(pathlib.Path(folder))

    return run


@in_folder
def test_turns_and_ratios(folder):
    files = ["--json", "out.json", "--markdown", "out.md", "--picture", "out.svg"]
    done = side_by_side(folder, "--contenders", "eager,hf,compile:flash", *files, "--", "--norm-pix")
    assert done.returncode == 0, done
    turns = (folder / "diary").read_text().splitlines()
    tried = ["mae.cu 1", "eager:auto 1", "compile:flash 1"]  # how long is a step?
    assert turns == tried + 3 * ["mae.cu 2", "eager:auto 1", "compile:flash 1"], turns

    record = json.loads((folder / "out.json").read_text())
    (run,) = record["runs"]
    assert record["kind"] == "side_by_side" and record["machine"]["cores"] >= 1 and record["date"], record
    assert run["model"]["option"] == "--norm-pix" and run["reference"] == "mae.cu", run
    by_name = {c["contender"]: c for c in run["contenders"]}
    assert by_name["hf"]["refuses"] == "no such library" and "median_ms" not in by_name["hf"], by_name
    assert by_name["mae.cu"]["rounds"] == 3 * [[0.5, 0.5]] and "ratio" not in by_name["mae.cu"], by_name
    assert by_name["mae.cu"]["images_per_s"] == 8 and by_name["mae.cu"]["gflop_per_s"] == 40, by_name
    assert by_name["eager"]["ratio"]["median"] == 2 and by_name["eager"]["peak_bytes"] == 3000000, by_name
    assert by_name["compile:flash"]["ratio"]["each"] == [1.5] * 3 and by_name["compile:flash"]["p90_ms"] == 750, by_name

    row = "| compile:flash | 750 | 750 - 750 | 750 | 5.333 | 26.67 | 3 | 1.50 | 1.50 - 1.50 | 0.0 | 1.50 |"
    text = (folder / "out.md").read_text()
    assert row in text and "refuses: no such library" in text and "eager has 8 parameters, not 7" in text, text
    assert "PyTorch 9.9; a large product by PyTorch 42 GFLOP/s" in text and "compile:flash" in done.stdout, text
    shapes = list(xml.etree.ElementTree.parse(folder / "out.svg").iter("{http://www.w3.org/2000/svg}rect"))
    assert len(shapes) == 4 and len({shape.get("fill") for shape in shapes}) == 3, shapes  # one is the ground


@in_folder
def test_pairs(folder):
    done = side_by_side(folder, "--contenders", "eager,compile:flash", "--pairs", "--json", "out.json")
    assert done.returncode == 0, done
    turns = [line.split()[0] for line in (folder / "diary").read_text().splitlines()]
    assert turns == 4 * ["mae.cu", "eager:auto"] + 4 * ["mae.cu", "compile:flash"], turns
    ours, eager, compiled = json.loads((folder / "out.json").read_text())["runs"][0]["contenders"]
    assert len(ours["rounds"]) == 6 and eager["ratio"]["median"] == 2 and compiled["ratio"]["median"] == 1.5


@in_folder
def test_peers_alone(folder):
    (folder / "sizes.json").write_text(json.dumps({"model": "another", "flops": 1e9}))
    names = ["--contenders", "compile:flash,eager"]
    done = side_by_side(folder, *names, "--json", "out.json", model=("--sizes", "sizes.json"))
    assert done.returncode == 0, done
    (run,) = json.loads((folder / "out.json").read_text())["runs"]
    assert run["reference"] == "compile:flash" and run["contenders"][1]["ratio"]["median"] == 4 / 3, run


@in_folder
def test_who_dies(folder):
    done = side_by_side(folder, "--contenders", "eager,compile:flash", dies="eager:auto")
    assert done.returncode == 0 and "eager ended with 1: the memory is full" in done.stdout, done
    assert "compile:flash" in done.stdout and "1.50" in done.stdout, done
    done = side_by_side(folder, "--contenders", "eager", dies="mae.cu")
    assert done.returncode == 1 and "side_by_side: mae.cu ended with 1: the memory is full" in done.stderr, done


def test_refusals():
    for words, why in [
        ([], "which model?"),
        (["--model", "m", "--contenders", "fly"], 'no contender "fly"'),
        (["--model", "m", "--contenders", "compile:fly"], 'no contender "compile:fly"'),
        (["--model", "m", "--rounds", "2"], "--rounds is 3 at least"),
        (["--model", "m", "--picture", "a.png"], "ends in .svg"),
    ]:
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            try:
                program.parse([*COMMON, *words])
                raise AssertionError(f"{words} were not refused")
            except SystemExit as end:
                assert end.code == 2 and why in errors.getvalue(), (words, errors.getvalue())
    arguments = program.parse([*COMMON, "--model", "m", "--program", "nowhere/mae_bench"])
    try:
        program.described(arguments, arguments.models[0])
        raise AssertionError("there is no such program")
    except program.WorkerError as error:
        assert "nowhere/mae_bench" in str(error) and "--program names mae_bench" in str(error), error


# ---- two files ------------------------------------------------------------------------------------------------------


def made_up_file(ours, eager):
    """Rounds of ours and of eager, as side_by_side.py writes them."""
    contenders = [
        {"contender": "mae.cu", **step_report.times(ours, 8, 1e9)},
        {"contender": "eager", **step_report.times(eager, 8, 1e9), "ratio": step_report.ratio(eager, ours)},
    ]
    run = {"model": {"model": "some_model", "flops": 1e9}, "batch": 8, "contenders": contenders}
    return {"kind": "side_by_side", "device": "cpu", "dtype": "f32", "threads": 2, "runs": [run]}


def test_verdicts():
    old = made_up_file([[1.0, 1.1], [1.1, 1.0]], [[2.0, 2.1], [2.1, 2.0]])
    new = made_up_file([[0.5, 0.6], [0.6, 0.5]], [[2.0, 2.2], [2.1, 2.0]])
    lines, alone = verdicts.compare(old, new)
    found = {line["name"].split("f32 2 ")[1]: line["verdict"] for line in lines}
    assert found == {"mae.cu": "faster", "eager": "noise", "eager, ratio": "faster"} and not alone, (lines, alone)
    lines, _ = verdicts.compare(new, old)
    assert [line["verdict"] for line in lines] == ["slower", "noise", "slower"], lines
    assert lines[0]["name"] == "cpu some_model 8 f32 2 mae.cu" and 0.5 < lines[0]["times"] < 0.55, lines


@in_folder
def test_compare_command(folder):
    row = {"kernel": "fill", "row": "fast", "shape": "R=1 C=1", "dtype": "f32", "variation": 0}
    for name, us in (("old", 10), ("new", 20)):
        results = [{**row, "median_us": us, "p10_us": us - 1, "p90_us": us + 1}]
        results.append({**row, "row": name, "median_us": 1, "p10_us": 1, "p90_us": 1})
        (folder / name).write_text(json.dumps({"runs": [{"device": "cpu", "results": results}]}))
    command = [sys.executable, here / "compare.py", "old", "new"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "0 faster, 1 slower, 0 noise" in done.stdout, done
    assert "cpu f32 fill R=1 C=1 0 fast" in done.stdout and done.stdout.count("in one file alone: ") == 2, done


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: as it should be")
