"""Faster, slower or noise: two files of measurements, older and newer, of one program. Called by compare.py.

Whatever has a median with its 10th and 90th percentile (median_us, median_ms, ...) is a timing, and what stands around it
says of what: {"runs": [{"device": "cpu", "results": [{"kernel": "fill", "row": "fast", "median_us": ...}]}]}. A ratio of
side_by_side.py has the range of its rounds. A change is one if the two ranges do not touch.
"""

IDENTITY = "device model batch images dtype threads config contender kernel shape variation row mode input launch".split()
AS_EVER = {"input": "ready", "launch": "graph"}  # steps whose file does not say, and so not said
UNITS = ("us", "ms", "s")


def words_of(node):
    """What of IDENTITY stands in this object; of a model its name."""
    found = {}
    for key in IDENTITY:
        value = node.get(key)
        if isinstance(value, dict):
            value = value.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and AS_EVER.get(key) != value:
            found[key] = value
    return found


def timings(node, around=None):
    """name -> (low, middle, high, unit): microseconds and their like, and "x", for ratios, where more is better."""
    if isinstance(node, list):
        return {name: value for item in node for name, value in timings(item, around).items()}
    if not isinstance(node, dict):
        return {}
    words, found = {**(around or {}), **words_of(node)}, {}
    name = " ".join(str(words[key]) for key in IDENTITY if key in words)
    for unit in UNITS:
        keys = (f"p10_{unit}", f"median_{unit}", f"p90_{unit}")
        if all(isinstance(node.get(key), (int, float)) for key in keys):
            found[name] = (*(node[key] for key in keys), unit)
    ratio = node.get("ratio")
    if isinstance(ratio, dict) and {"low", "median", "high"} <= ratio.keys():
        found[f"{name}, ratio"] = (ratio["low"], ratio["median"], ratio["high"], "x")
    for key, value in node.items():
        if key not in ("ratio", "views", "ceilings"):
            found.update(timings(value, words))
    return found


def verdict(old, new):
    below, above = new[2] < old[0], new[0] > old[2]
    if not below and not above:
        return "noise"
    return "faster" if below != (new[3] == "x") else "slower"


def compare(old, new):
    """Lines {name, old, new, unit, times, verdict}; `times` as fast. And the names that stand in one file alone."""
    before, after = timings(old), timings(new)
    lines = []
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        if a[3] == b[3]:
            speed = b[1] / a[1] if a[3] == "x" else a[1] / b[1]
            lines.append(
                {"name": name, "old": a[1], "new": b[1], "unit": a[3], "times": speed, "verdict": verdict(a, b)}
            )
    order = {name: at for at, name in enumerate(after)}
    return sorted(lines, key=lambda line: order[line["name"]]), sorted(before.keys() ^ after.keys())


def text(lines, alone):
    rows = [("what", "old", "new", "unit", "times as fast", "verdict")]
    for line in lines:
        rows.append(
            (
                line["name"],
                f"{line['old']:.4g}",
                f"{line['new']:.4g}",
                line["unit"],
                f"{line['times']:.3f}",
                line["verdict"],
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    told = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]
    counts = {what: sum(line["verdict"] == what for line in lines) for what in ("faster", "slower", "noise")}
    told.append(", ".join(f"{count} {what}" for what, count in counts.items()))
    told += [f"in one file alone: {name}" for name in alone]
    return "\n".join(told) + "\n"
