#!/usr/bin/python3
"""Writes metrics.safetensors: what scikit-learn makes of logits and labels, ties and missing labels among them.

Needs numpy and scikit-learn alone; the file here was made with scikit-learn 1.2.1 (Debian 12, python3-sklearn). Logits are
quarters in part of the cases, so that many are equal, and exactly so in f32 too."""

import json
import pathlib
import struct

import numpy as np
import sklearn
from sklearn.metrics import (average_precision_score, balanced_accuracy_score, confusion_matrix, f1_score, log_loss,
                             recall_score, roc_auc_score)

HERE = pathlib.Path(__file__).resolve().parent


def single(r, name, samples, classes, ties, missing):
    """Classes that never occur: the last one of every case."""
    logits = 2 * r.standard_normal((samples, classes))
    if ties:
        logits = np.round(logits) / 4
    labels = r.integers(0, classes - 1, samples)
    logits[np.arange(samples), labels] += 0.75  # better than chance
    known = np.ones(samples, bool)
    known[:missing] = False
    r.shuffle(known)
    z, y, columns = logits[known], labels[known], np.arange(classes)
    shifted = z - z.max(1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    order = np.argsort(-z, axis=1, kind="stable")  # of equal logits the lower class first
    predicted = order[:, 0]
    yield f"{name}.logits", logits
    yield f"{name}.labels", np.where(known, labels, -1).astype(np.int32)
    yield f"{name}.confusion", confusion_matrix(y, predicted, labels=columns).astype(np.int32)
    yield f"{name}.recall", recall_score(y, predicted, labels=columns, average=None, zero_division=0)
    yield f"{name}.summary", np.array([
        log_loss(y, p, labels=columns, eps=1e-300), 100 * np.mean(predicted == y),
        100 * np.mean((order[:, :5] == y[:, None]).any(1)),
        100 * balanced_accuracy_score(y, predicted)])


def multi(r, name, samples, classes, ties, missing):
    """Class 0 has no positive, class 1 no negative; NaN stands for what is not defined."""
    logits = r.standard_normal((samples, classes))
    if ties:
        logits = np.round(4 * logits) / 4
    targets = (r.random((samples, classes)) < np.linspace(0.1, 0.6, classes)).astype(np.int32)
    targets[:, 0], targets[:, 1] = 0, 1
    logits += 0.5 * targets
    targets[r.random((samples, classes)) < missing] = -1
    rows = []
    for k in range(classes):
        t, z = targets[targets[:, k] >= 0, k], logits[targets[:, k] >= 0, k]
        positive = t.any()
        rows.append([roc_auc_score(t, z) if positive and not t.all() else np.nan,
                     average_precision_score(t, z) if positive else np.nan,
                     f1_score(t, z > 0) if positive else np.nan])
    yield f"{name}.logits", logits
    yield f"{name}.targets", targets
    yield f"{name}.classes", np.array(rows)
    yield f"{name}.means", np.nanmean(rows, 0)


def save(name, arrays):
    header = {"__metadata__": {"scikit-learn": sklearn.__version__, "numpy": np.__version__}}
    offset, order = 0, sorted(arrays, key=lambda key: (-arrays[key].itemsize, key))
    for key in order:
        a = arrays[key]
        dtype = {"float64": "F64", "int32": "I32"}[a.dtype.name]
        header[key] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(np.ascontiguousarray(arrays[key]).tobytes() for key in order)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + data)
    print(f"{name}: {len(order)} tensors, {(HERE / name).stat().st_size} bytes")


def main():
    r = np.random.default_rng(11)
    arrays = {}
    for name, samples, classes, ties, missing in [("plain", 60, 8, False, 0), ("ties", 80, 7, True, 9), ("few", 40, 3, True, 3)]:
        arrays.update(single(r, name, samples, classes, ties, missing))
    for name, samples, ties, missing in [("multi", 70, False, 0.1), ("multi_ties", 90, True, 0.2)]:
        arrays.update(multi(r, name, samples, 6, ties, missing))
    save("metrics.safetensors", arrays)


main()
