"""What is held against what: a case of ours, the same work of a peer, and the target. Read by gpu, compare.py and
peers/kernels.py.

An entry has
    name     of the pair, the same in the peers' JSON
    ours     cases of `mae bench kernels` whose times are added: kernel, shape, dtype, and which variation: `has`
             names views that it must have, with their role or dtype; `lacks` names views that it must not have
    against  what the target is for: "best" (of all contenders), or a contender by name
    target   how many times faster ours is to be; None: none was set
Targets are those of issue 5, "The kernels people come for".
"""

ATTENTION = [  # T, Tq, H, D; targets forward and backward
    (50, 50, 12, 64, 3, 4),
    (65, 65, 16, 80, None, None),
    (197, 197, 16, 32, 2, 2.5),
    (257, 257, 16, 32, None, None),
    (197, 147, 16, 32, None, None),  # the last decoder block: queries of masked tokens only
]
BATCHES = (64, 256)
NORMS = [(12800, 768), (50432, 512), (12800, 1024), (16640, 1280)]  # rows, width
LINEARS = [(12800, 3072, 768), (50432, 2048, 512)]  # rows, hidden width, width
PIXELS = [(64, 224, 16), (256, 224, 16)]  # batch, side, patch
PARAMETERS = 111907840  # of ViT-B and its decoder


def attention_shape(batch, tokens, queries, heads, size):
    masked = f" Tq={queries}" if queries != tokens else ""
    return f"B={batch} T={tokens}{masked} H={heads} D={size}"


def one(kernel, shape, dtype="bf16", has=None, lacks=()):
    return {"kernel": kernel, "shape": shape, "dtype": dtype, "has": has or {}, "lacks": list(lacks)}


def entry(name, ours, against="best", target=None):
    return {"name": name, "ours": ours if isinstance(ours, list) else [ours], "against": against, "target": target}


def entries():
    found = []
    for tokens, queries, heads, size, forward, backward in ATTENTION:
        for batch in BATCHES:
            shape = attention_shape(batch, tokens, queries, heads, size)
            found.append(
                entry(
                    f"attention_forward {shape}", one("attention_forward", shape, has={"lse": "output"}), target=forward
                )
            )
            found.append(
                entry(f"attention_backward {shape}", one("attention_backward", shape, lacks=["dbias"]), target=backward)
            )
    for rows, width in NORMS:
        shape = f"R={rows} C={width}"
        found.append(
            entry(
                f"layernorm_forward {shape}",
                one("layernorm_forward", shape, has={"mean": "output"}, lacks=["residual"]),
            )
        )
        found.append(
            entry(
                f"layernorm_backward {shape}",
                one("layernorm_backward", shape, has={"dx": "output", "dgamma": "output"}, lacks=["dx_sum"]),
                against="eager",
                target=2,
            )
        )
    for rows, hidden, width in LINEARS:
        shape = f"M={rows} N={hidden} K={width}"
        found.append(
            entry(
                f"linear_gelu_forward {shape}",
                one(
                    "matmul",
                    shape + " GELU=1",
                    has={"pre": "output", "bias": "input"},
                    lacks=["residual", "column_sum"],
                ),
            )
        )
        found.append(
            entry(
                f"linear_gelu_backward {shape}",
                one("matmul", shape + " GELU=1", has={"pre": "input", "column_sum": "output"}),
            )
        )
    for batch, side, patch in PIXELS:
        shape = f"B={batch} H={side} W={side} C=3 P={patch}"
        found.append(
            entry(
                f"pixel_loss {shape}",
                one("pixel_loss", shape, has={"dpred": "output", "images": "u8"}),
                against="eager",
                target=10,
            )
        )
    flat = f"N={PARAMETERS}"
    update = one("adamw", flat + " S=250", "f32", has={"compute": "bf16"})
    found.append(entry(f"adamw {flat}", update, against="fused"))
    found.append(
        entry(f"optimizer_path {flat}", [one("squared_norm", flat, "f32"), update], against="path", target=1.8)
    )
    return found


def case(part):
    """A part of ours as --case takes it: kernel, sizes, type, +VIEW:ROLE for what it has, -VIEW for what it lacks."""
    words = [part["kernel"], part["shape"], part["dtype"]]
    words += [f"+{name}:{what}" for name, what in part["has"].items()] + [f"-{name}" for name in part["lacks"]]
    return " ".join(words)


def cases():
    """All of them, each once."""
    return list(dict.fromkeys(case(part) for e in entries() for part in e["ours"]))


if __name__ == "__main__":
    print("\n".join(cases()))
