"""Tables and pictures of an experiment: Markdown, LaTeX, SVG, JSON."""
import json
import math

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]  # Okabe and Ito, 2008


def mean(values):
    return sum(values) / len(values)


def deviation(values):
    """Of a sample: n - 1 below the line; 0 for one value."""
    if len(values) < 2:
        return 0.0
    m = mean(values)
    return math.sqrt(sum((v - m) ** 2 for v in values) / (len(values) - 1))


def pooled(a, b):
    """Standard deviation that two samples of equal size share."""
    return math.sqrt((deviation(a) ** 2 + deviation(b) ** 2) / 2)


def columns_of(table):
    names = []
    for cells in table.values():
        names += [c for c in cells if c not in names]
    return sorted(names, key=lambda c: -float(c.split()[0]))


def text_of(cell):
    """84.60 ± 0.08; one value alone has no deviation."""
    if not cell:
        return ""
    spread = f" ± {deviation(cell['values']):.2f}" if len(cell["values"]) > 1 else ""
    return f"{mean(cell['values']):.2f}{spread}"


def differences(result):
    table, rows = result["table"], []
    for d in result["differences"]:
        first, second = (table.get(name, {}) for name in d["of"])
        for column in columns_of(table):
            if column in first and column in second:
                a, b = first[column]["values"], second[column]["values"]
                spread = f"{2 * pooled(a, b):.2f}" if min(len(a), len(b)) > 1 else "one value each"
                rows.append((d["name"], column, mean(a) - mean(b), spread))
    return rows


def markdown(result):
    table, columns, name = result["table"], columns_of(result["table"]), result["name"]
    size = " x ".join(f"{s:g}" for s in (result["image_size"] * 2)[:2])
    lines = [f"# {result['title']}", "",
             f"Top-1 % on {result['tested_on']}: mean ± standard deviation of {result['seeds']} seeds, by the share of the training "
             "labels used. A seed is another choice of labels, head, order and, where the encoder is random, encoder; the pretraining is "
             "one, and its own spread is not in these numbers.", "",
             "| | " + " | ".join(columns) + " | epochs | minutes |", "| --- |" + " ---: |" * (len(columns) + 2)]
    for row, cells in table.items():
        epochs = ", ".join(f"{cells[c]['epochs']:g}" for c in columns if c in cells and "epochs" in cells[c])
        minutes = sum(c["seconds"] for c in cells.values()) / 60
        texts = [text_of(cells.get(c)) for c in columns]
        lines.append(f"| {row} | " + " | ".join(texts) + f" | {epochs or '-'} | {f'{minutes:.1f}' if minutes else '-'} |")
    lines += ["", "| difference | labels | points | 2 x pooled standard deviation |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {n} | {c} | {d:+.2f} | {s} |" for n, c, d, s in differences(result)]
    lines += ["", f"![accuracy]({name}.svg)", "",
              f"One pretraining of {result['pretraining_epochs']:g} epochs ({result['pretraining_seconds'] / 60:.1f} minutes), images of {size}. "
              f"{result['device']}, {result['threads']} threads, commit {result['commit']}, {result['date']}; "
              f"{result['wall_seconds'] / 60:.0f} minutes in all, {result['feature_seconds'] / 60:.1f} of them for frozen features. "
              f"Epochs in the order of the columns; minutes are those of all training steps of a row, without evaluations. Config, log and "
              f"evaluations of each run: "
              f"`docs/results/{name}/`.", ""]
    bests = [f"{row} {column} {mean(c['best']):.2f}" for row, cells in table.items() for column, c in cells.items()
             if result.get("published") and "best" in c]
    if bests:
        lines += ["Best evaluation of a run instead of its last, as published numbers of this kind are: " + "; ".join(bests) + ".", ""]
    published = result.get("published", {})
    lines.append("Published beside: " + ("; ".join(f"{row} {text}" for row, text in published.items()) if published else
                 "no source that we know has these rows at this scale") + ".")
    lines += ["", f"Written by `script/experiment {name}`.", ""]
    return "\n".join(lines)


def latex(result):
    table, columns = result["table"], columns_of(result["table"])
    lines = [f"% {result['title']}: script/experiment {result['name']}, commit {result['commit']}, {result['date']}",
             r"\begin{tabular}{l" + "r" * len(columns) + "}", r"\hline",
             " & ".join(["labels"] + [c.replace("%", r"\%") for c in columns]) + r" \\", r"\hline"]
    for row, cells in table.items():
        lines.append(" & ".join([row] + [text_of(cells.get(c)).replace("±", r"$\pm$") for c in columns]) + r" \\")
    return "\n".join(lines + [r"\hline", r"\end{tabular}", ""])


def svg(result):
    """A dot for each cell, with one standard deviation to each side: rows down, accuracy across, a colour a column."""
    table, columns = result["table"], columns_of(result["table"])
    cells = [c for row in table.values() for c in row.values()]
    low = math.floor(min(mean(c["values"]) - deviation(c["values"]) for c in cells) / 5) * 5
    high = math.ceil(max(mean(c["values"]) + deviation(c["values"]) for c in cells) / 5) * 5
    left, right, top, step, width = 290, 30, 70, 30, 900
    height = top + step * len(table) + 60
    bottom = top + step * len(table)

    def x_of(value):
        return left + (value - low) / (high - low) * (width - left - right)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="14">',
           f'<rect width="{width}" height="{height}" fill="white"/>', f'<text x="16" y="26" font-size="18">{result["title"]}</text>']
    for i, column in enumerate(columns):
        x = left + i * 180
        out.append(f'<circle cx="{x}" cy="46" r="5" fill="{COLOURS[i]}"/><text x="{x + 10}" y="51">{column} of the labels</text>')
    for tick in range(low, high + 1, 5):
        x = x_of(tick)
        out.append(f'<line x1="{x:.1f}" y1="{top - 8}" x2="{x:.1f}" y2="{bottom}" stroke="#dddddd"/>'
                   f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{tick}</text>')
    out.append(f'<text x="{(left + width - right) / 2:.0f}" y="{bottom + 44}" text-anchor="middle">top-1 accuracy, % (mean ± standard deviation '
               f'of {result["seeds"]} seeds)</text>')
    for r, (row, line) in enumerate(table.items()):
        y = top + step * r + step / 2
        out.append(f'<text x="{left - 12}" y="{y + 5:.0f}" text-anchor="end">{row}</text>')
        for i, column in enumerate(columns):
            if column not in line:
                continue
            m, s = mean(line[column]["values"]), deviation(line[column]["values"])
            out.append(f'<line x1="{x_of(m - s):.1f}" y1="{y}" x2="{x_of(m + s):.1f}" y2="{y}" stroke="{COLOURS[i]}" stroke-width="3"/>'
                       f'<circle cx="{x_of(m):.1f}" cy="{y}" r="5" fill="{COLOURS[i]}"/>')
    return "\n".join(out + ["</svg>", ""])


def write_reports(result, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in (("json", json.dumps(result, indent=1) + "\n"), ("md", markdown(result)), ("tex", latex(result)),
                         ("svg", svg(result))):
        (folder / f"{result['name']}.{suffix}").write_text(text)
    print(markdown(result))
