"""What side_by_side.py makes of its samples: medians and ratios, a table, a picture."""

import statistics

REFERENCE = "mae.cu"


def spread(samples):
    """10th and 90th percentile."""
    if len(samples) == 1:
        return samples[0], samples[0]
    tenths = statistics.quantiles(samples, n=10, method="inclusive")
    return tenths[0], tenths[8]


def times(rounds, batch, flops):
    """Of one contender: rounds of seconds a step; flops of one image."""
    samples = [second for seconds in rounds for second in seconds]
    median, (low, high) = statistics.median(samples), spread(samples)
    return {
        "median_ms": median * 1e3,
        "p10_ms": low * 1e3,
        "p90_ms": high * 1e3,
        "min_ms": min(samples) * 1e3,
        "images_per_s": batch / median,
        "gflop_per_s": flops * batch / median * 1e-9,
    }


def ratio(rounds, reference_rounds):
    """How many times as long a contender takes as the reference: a ratio of medians in each round, which are neighbours
    in time, and the median of these with their range. of_minima: of the best steps of all rounds."""
    each = [statistics.median(a) / statistics.median(b) for a, b in zip(rounds, reference_rounds)]
    median = statistics.median(each)
    return {
        "median": median,
        "low": min(each),
        "high": max(each),
        "noise_percent": (max(each) - min(each)) / median * 100,
        "of_minima": min(map(min, rounds)) / min(map(min, reference_rounds)),
        "each": each,
    }


# ---- table ----------------------------------------------------------------------------------------------------------

COLUMNS = "contender,ms a step,p10 - p90,min,images/s,GFLOP/s,peak MB,ratio,range,noise %,of minima".split(",")


def cells(contender):
    if "refuses" in contender:
        return [contender["contender"], f"refuses: {contender['refuses']}"] + [""] * (len(COLUMNS) - 2)
    beside, peak = contender.get("ratio"), contender.get("peak_bytes")
    return [
        contender["contender"],
        f"{contender['median_ms']:.4g}",
        f"{contender['p10_ms']:.4g} - {contender['p90_ms']:.4g}",
        f"{contender['min_ms']:.4g}",
        f"{contender['images_per_s']:.4g}",
        f"{contender['gflop_per_s']:.4g}",
        f"{peak / 1e6:.0f}" if peak else "-",
        f"{beside['median']:.2f}" if beside else "",
        f"{beside['low']:.2f} - {beside['high']:.2f}" if beside else "",
        f"{beside['noise_percent']:.1f}" if beside else "",
        f"{beside['of_minima']:.2f}" if beside else "",
    ]


def title(record, run):
    return (
        f"{run['model']['model']}, {run['batch']} images a step, {record['device']}, {record['dtype']}, "
        f"{record['threads']} threads"
    )


def origin(record):
    """One sentence on where the figures come from."""
    machine = record["machine"]
    ready = [c for run in record["runs"] for c in run["contenders"] if "median_ms" in c]
    versions = dict.fromkeys(f"PyTorch {c['torch']}" for c in ready if "torch" in c)
    versions |= dict.fromkeys(f"transformers {c['transformers']}" for c in ready if "transformers" in c)
    product = max((c.get("product_gflop_per_s", 0) for c in ready), default=0)
    return (
        f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f} before; "
        f"{record['date']}; commit {record['commit']}; "
        + "; ".join([*versions, f"a large product by PyTorch {product:.0f} GFLOP/s" if product else "no PyTorch"])
    )


def notes(record, run):
    """What a reader must know to trust the table."""
    of = run["reference"]
    lines = [f"ratio: time by that of {of}, median of {record['rounds']} rounds; above 1, {of} is faster"]
    wanted = run["model"].get("parameters")
    for c in run["contenders"]:
        if wanted and c.get("parameters", wanted) != wanted:
            lines.append(f"{c['contender']} has {c['parameters']} parameters, not {wanted}")
    return lines


def markdown(record):
    text = [origin(record), ""]
    for run in record["runs"]:
        text += [f"**{title(record, run)}**", ""]
        text.append("| " + " | ".join(COLUMNS) + " |")
        text.append("| --- |" + " ---: |" * (len(COLUMNS) - 1))
        text += ["| " + " | ".join(cells(c)) + " |" for c in run["contenders"]]
        text += ["", *notes(record, run), ""]
    return "\n".join(text)


def plain(record, run):
    """The table for a terminal."""
    rows = [COLUMNS] + [cells(c) for c in run["contenders"]]
    told = [row for row in rows if not row[1].startswith("refuses")]
    widths = [max(len(row[i]) for row in told) for i in range(len(COLUMNS))]
    lines = [title(record, run)]
    for row in rows:
        if row[1].startswith("refuses"):
            lines.append(f"{row[0]:<{widths[0]}}  {row[1]}")
        else:
            lines.append("  ".join([f"{row[0]:<{widths[0]}}"] + [f"{c:>{w}}" for c, w in zip(row[1:], widths[1:])]))
    return "\n".join(lines + notes(record, run)) + "\n"


# ---- picture --------------------------------------------------------------------------------------------------------


def escaped(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def picture(record):
    """Bars of images a second, as SVG: a panel for each run."""
    parts, y, width, left = [], 24, 720, 150

    def write(x, at, text, size=13, more=""):
        parts.append(f'<text x="{x:.0f}" y="{at}" font-size="{size}"{more}>{escaped(text)}</text>')

    for run in record["runs"]:
        write(10, y, title(record, run), 15, ' font-weight="bold"')
        y += 12
        timed = [c for c in run["contenders"] if "images_per_s" in c]
        most = max((c["images_per_s"] for c in timed), default=1)
        for c in timed:
            long = (width - left - 130) * c["images_per_s"] / most
            colour = "#c2410c" if c["contender"] == run["reference"] else "#64748b"
            parts.append(f'<rect x="{left}" y="{y}" width="{long:.1f}" height="20" fill="{colour}"/>')
            write(left - 8, y + 15, c["contender"], more=' text-anchor="end"')
            write(left + long + 8, y + 15, f"{c['images_per_s']:.4g} images/s")
            y += 26
        y += 30
    write(10, y - 10, origin(record), 10)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{width}" height="{y}" fill="white"/>', *parts, "</svg>"]) + "\n"
