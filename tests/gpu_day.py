"""What script/gpu does where there is no GPU: it says so, for each step, in an exit code and in a JSON that can be read."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

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
    run = gpu(str(out), "--only", "tests,sanitize,train,bench")
    assert run.returncode == 1, run
    assert run.stderr.count("no GPU") == 4, run.stderr
    (result,) = out.glob("gpu_*.json")
    report = json.loads(result.read_text())
    assert report["device"] == "none" and report["figures"] == {}, report
    assert [step["verdict"] for step in report["steps"].values()] == ["not run"] * 4, report
    assert report["commit"] and report["date"], report
print("script/gpu without a GPU: as it says")
