#!/usr/bin/env python3
"""bench/compare.py OURS.json PEERS.json [--out FOLDER]: joins what `mae bench kernels` and peers/kernels.py measured
in one run into one table, comparison.md and comparison.json, with the targets of comparisons.py. Without --out the
table is printed alone.
bench/compare.py --join OUT.json A.json B.json: the runs of several JSONs of `mae bench kernels` in one.
bench/compare.py OLD.json NEW.json, both of side_by_side.py or of `mae bench`: what is faster, what slower, and what is
noise (verdicts.py).

OURS.json may hold several runs of one device, before and behind the peers: a row's time is the mean of its medians, and
`drift` says how far they lie apart.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import comparisons  # noqa: E402
import verdicts  # noqa: E402


def sizes(shape):
    return dict(word.split("=") for word in shape.split())


def is_variation(result, part):
    views = {view["name"]: (view["role"], view["dtype"]) for view in result["views"]}
    has = all(name in views and wanted in views[name] for name, wanted in part["has"].items())
    return has and not any(name in views for name in part["lacks"])


def rows_of(part, runs):
    """row name -> times of this case in all runs, of the first variation that fits; wrong rows are left out."""
    rows = {}
    for run in runs:
        fitting = [
            r
            for r in run["results"]
            if "median_us" in r
            and r["kernel"] == part["kernel"]
            and r["dtype"] == part["dtype"]
            and sizes(r["shape"]) == sizes(part["shape"])
            and not r["reduced_precision"]
            and is_variation(r, part)
        ]
        first = min((r["variation"] for r in fitting), default=None)
        for r in fitting:
            if r["variation"] == first and r["check"]["verdict"] != "failed":
                rows.setdefault(r["row"], []).append(r)
    return rows


def summary_of(row, results):
    medians = [r["median_us"] for r in results]
    us = sum(medians) / len(medians)
    return {
        "row": row,
        "vendor": results[0]["vendor"],
        "us": us,
        "drift_percent": (max(medians) - min(medians)) / us * 100,
        "p10_us": min(r["p10_us"] for r in results),
        "p90_us": max(r["p90_us"] for r in results),
        "floor_us": sum(r["floor_us"] for r in results) / len(results),
        "check": results[0]["check"]["verdict"],
    }


def ours_of(entry, runs):
    """The fastest row of each part, added up; and all rows. Nothing where a part was not timed. Where there is a
    target, a library's row does not reach it for us."""
    parts = [[summary_of(row, results) for row, results in rows_of(part, runs).items()] for part in entry["ours"]]
    able = [[row for row in rows if entry["target"] is None or not row["vendor"]] for rows in parts]
    if not all(able):
        return None, parts
    best = [min(rows, key=lambda r: r["us"]) for rows in able]
    us, floor = sum(r["us"] for r in best), sum(r["floor_us"] for r in best)
    return {
        "row": " + ".join(r["row"] for r in best),
        "us": us,
        "percent_of_floor": floor / us * 100,
        "vendor": any(r["vendor"] for r in best),
        "drift_percent": max(r["drift_percent"] for r in best),
        "check": " + ".join(dict.fromkeys(r["check"] for r in best)),
    }, parts


def peers_of(entry, peers):
    for result in peers["results"]:
        if result["name"] == entry["name"]:
            return result["contenders"]
    return []


def joined(entry, runs, peers):
    ours, rows = ours_of(entry, runs)
    contenders = peers_of(entry, peers)
    timed = [c for c in contenders if "median_us" in c]
    best = min(timed, key=lambda c: c["median_us"], default=None)
    against = (
        best if entry["against"] == "best" else next((c for c in timed if c["contender"] == entry["against"]), None)
    )
    line = {
        "name": entry["name"],
        "ours": ours,
        "rows": rows,
        "contenders": contenders,
        "against": entry["against"],
        "target": entry["target"],
        "best_peer": best and best["contender"],
        "best_peer_us": best and best["median_us"],
        "against_us": against and against["median_us"],
        "ratio_to_best": None,
        "ratio": None,
        "met": None,
    }
    if ours and best:
        line["ratio_to_best"] = best["median_us"] / ours["us"]
    if ours and against:
        line["ratio"] = against["median_us"] / ours["us"]
        line["met"] = None if entry["target"] is None else line["ratio"] >= entry["target"]
    return line


def compare(ours, peers):
    return [joined(entry, ours["runs"], peers) for entry in comparisons.entries()]


# ---- table ----------------------------------------------------------------------------------------------------------


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def met(line):
    if line["target"] is None:
        return ""
    return "not measured" if line["met"] is None else "yes" if line["met"] else "**no**"


def row_text(ours):
    if ours is None:
        return "not timed"
    return (
        ours["row"]
        + (" (a library's)" if ours["vendor"] else "")
        + ("" if ours["check"] == "passed" else f", {ours['check']}")
    )


def markdown(lines):
    text = [
        "| work | our row | us | % of floor | drift % | best peer | us | ratio | target | met |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | --- | --- |",
    ]
    for line in lines:
        ours = line["ours"] or {}
        target = "" if line["target"] is None else f"{line['target']}x {line['against']}"
        if line["target"] is not None and line["against"] != "best" and line["ratio"] is not None:
            target += f": {line['ratio']:.2f}"
        text.append(
            "| "
            + " | ".join(
                [
                    line["name"],
                    row_text(line["ours"]),
                    number(ours.get("us"), 2),
                    number(ours.get("percent_of_floor"), 0),
                    number(ours.get("drift_percent"), 1),
                    line["best_peer"] or "not measured",
                    number(line["best_peer_us"], 2),
                    number(line["ratio_to_best"], 2),
                    target,
                    met(line),
                ]
            )
            + " |"
        )
    return "\n".join(text) + "\n"


def origin_text(ours, peers):
    run = ours["runs"][0]
    copy, product = run["ceilings"]["copy"]["gb_per_s"], run["ceilings"]["product"].get("bf16", {}).get("gflop_per_s")
    return (
        f"{run['name']}, driver {run['driver']}, commit {run['commit']}, {run['date']}; copy {copy:.0f} GB/s, "
        f"bf16 product {number(product, 0)} GFLOP/s; PyTorch {peers.get('torch', '-')}, CUDA {peers.get('cuda', '-')}, "
        f"cuDNN {peers.get('cudnn', '-')}.\n\n"
    )


def verdict_text(lines):
    wanted = [line["met"] for line in lines if line["target"] is not None]
    return f"targets: {wanted.count(True)} met, {wanted.count(False)} not met, {wanted.count(None)} not measured"


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--join", metavar="OUT.json")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    if arguments.join:
        joined_runs = {"runs": [run for path in arguments.files for run in read(path)["runs"]]}
        pathlib.Path(arguments.join).write_text(json.dumps(joined_runs) + "\n")
        return
    if len(arguments.files) != 2:
        parser.error("two files: ours and the peers', or old and new")
    ours, peers = map(read, arguments.files)
    if not ("runs" in ours and "results" in peers):  # the second is not of peers/kernels.py
        print(verdicts.text(*verdicts.compare(ours, peers)), end="")
        return
    if peers.get("tiny"):
        parser.error(f"{arguments.files[1]} was made with --tiny: these are not the sizes of ours")
    lines = compare(ours, peers)
    text = origin_text(ours, peers) + markdown(lines) + "\n" + verdict_text(lines) + "\n"
    print(text, end="")
    if arguments.out:
        folder = pathlib.Path(arguments.out)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comparison.md").write_text(text)
        (folder / "comparison.json").write_text(
            json.dumps({"ours": ours["runs"][0]["date"], "lines": lines}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
