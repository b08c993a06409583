"""What script/gpu does where there is no GPU: it says so, for each step, in an exit code and in a JSON that can be read."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

script = pathlib.Path(sys.argv[1]) / "script" / "gpu"
# a machine without a GPU, whatever this one has: no nvidia-smi on the path
with tempfile.TemporaryDirectory() as folder:
    tools = pathlib.Path(folder) / "bin"
    tools.mkdir()
    for directory in os.environ["PATH"].split(":"):
        for tool in pathlib.Path(directory).glob("*") if pathlib.Path(directory).is_dir() else []:
            if tool.name not in ("nvidia-smi", "compute-sanitizer") and not os.path.lexists(tools / tool.name):
                (tools / tool.name).symlink_to(tool)
    environment = {**os.environ, "PATH": str(tools)}

    def gpu(*arguments):
        return subprocess.run([script, *arguments], env=environment, capture_output=True, text=True, timeout=60)

    for arguments, words in [(["--only", "fly"], 'no step "fly"'), (["--only"], "needs steps"),
                             (["--only", ""], "needs steps"),
                             (["--fast"], "no option --fast"), (["a", "b"], "more than one OUTDIR")]:
        run = gpu(*arguments)
        assert run.returncode == 2 and words in run.stderr, (arguments, run)

    out = pathlib.Path(folder) / "out"
    run = gpu(str(out), "--only", "tests,sanitize,train,bench,step")
    assert run.returncode == 1, run
    assert run.stderr.count("no GPU") == 5, run.stderr
    (result,) = out.glob("gpu_*.json")
    report = json.loads(result.read_text())
    assert report["device"] == "none" and report["figures"] == {}, report
    assert [step["verdict"] for step in report["steps"].values()] == ["not run"] * 5, report
    assert report["commit"] and report["date"] and report["targets"] == "none", report
    assert not list(out.glob("*_bench")), list(out.iterdir())  # nothing was measured

    # the step `step`, with a GPU that is made up and a Python that only reads what it is asked: both models, though the first fails
    root = pathlib.Path(sys.argv[1])
    (tools / "nvidia-smi").write_text("#!/bin/bash\necho 9.0\n")
    (tools / "nvidia-smi").chmod(0o755)
    stub = pathlib.Path(folder) / "python"
    stub.write_text(f"""#!{sys.executable}
import sys
sys.path[:0] = ["{root}/bench", "{root}/bench/peers"]
sys.dont_write_bytecode = True
import side_by_side
arguments = side_by_side.parse(sys.argv[2:])
with open("{folder}/models", "a") as models:
    print(arguments.models, arguments.device, arguments.batch, *arguments.contenders, file=models)
sys.exit(1)
""")
    stub.chmod(0o755)
    environment["MAE_PYTHON"] = str(stub)
    run = gpu(str(out), "--only", "step")
    assert run.returncode == 1 and "step: failed (1)" in run.stdout, run
    base, large = (pathlib.Path(folder) / "models").read_text().splitlines()
    assert "mae_vit_base_patch16" in base and "mae_vit_large_patch16" in large and "cuda 64 mae.cu official" in base, (base, large)

    # stopped in the middle, here with a GPU that is made up, it leaves no sanitizer at work
    for name, text in [("nvidia-smi", "echo 9.0"), ("compute-sanitizer", f"echo $$ >> {folder}/sanitizers; exec sleep 60")]:
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    day = subprocess.Popen([script, str(out), "--only", "sanitize"], env=environment, start_new_session=True)
    pids = pathlib.Path(folder) / "sanitizers"
    end = time.monotonic() + 30
    while not pids.exists() or len(pids.read_text().split()) < 4:
        assert time.monotonic() < end, "four sanitizers were not started"
        time.sleep(0.05)
    os.killpg(day.pid, signal.SIGTERM)  # as timeout does
    day.wait(timeout=30)
    while any(pathlib.Path(f"/proc/{pid}/exe").exists() for pid in pids.read_text().split()):
        assert time.monotonic() < end, "a sanitizer is still at work"
        time.sleep(0.05)
print("script/gpu without a GPU: as it says")

# bench/gpu with a program that only writes down how it was called, and a PyTorch that is not there
with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    (root / "torch.py").write_text("raise ImportError('no torch in this test')\n")
    program = root / "mae"
    program.write_text(f"""#!{sys.executable}
import json, os, pathlib, sys
with open("{root}/calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
out = pathlib.Path(sys.argv[sys.argv.index("--json") + 1])
out.write_text(json.dumps({{"runs": [{{"results": []}}]}}))
sys.exit(int(os.environ.get("BENCH_FAILS", "0")) if out.name == "before.json" else 0)
""")
    program.chmod(0o755)
    for fails, code in [("0", 0), ("1", 1)]:
        environment = {**os.environ, "MAE_PROGRAM": str(program), "PYTHONPATH": str(root), "BENCH_FAILS": fails}
        run = subprocess.run([pathlib.Path(sys.argv[1]) / "bench" / "gpu", root / "out"], env=environment, capture_output=True,
                             text=True, timeout=60)
        assert run.returncode == code and "no PyTorch here" in run.stdout, run
    before, behind, products, rest = (root / "calls").read_text().splitlines()[:4]
    assert products.startswith("bench kernels --device cuda") and "--kernel matmul --all" in products, products
    assert "--case attention_forward B=256 T=50 H=12 D=64 bf16 +lse:output" in before and "--skip-unknown" in before, before
    assert "--no-check" in behind and "--budget" in rest and "--case" not in rest, (behind, rest)
    assert len(json.loads((root / "out" / "ours.json").read_text())["runs"]) == 2
    assert sorted(f.name for f in (root / "out").glob("*.json")) == ["all.json", "ours.json", "products.json"], list((root / "out").iterdir())
print("bench/gpu without PyTorch: our rows alone")
