"""The kernels of mae.cu on tensors of PyTorch, numpy, and whoever speaks DLPack: docs/pytorch.md.

    import mae_cu
    y = mae_cu.layernorm(x, weight, bias)             # with gradients, like torch.nn.functional.layer_norm
    out = mae_cu.attention(qkv, heads=12)             # (B, L, 3 C) -> (B, L, C)
    mae_cu.launch("gelu_forward", x=x, y=y)           # any kernel, by the names of its views and scalars

Plain Python over libmae_kernels.so by ctypes: nothing to compile, and no version of anything to match. PyTorch is
imported by the two functions that need it, and by nothing else.
"""

from ._launch import Stream, launch
from ._library import Error, field_names, kernels, rows, scalars, version

__all__ = ["Error", "Stream", "attention", "field_names", "kernels", "launch", "layernorm", "rows", "scalars",
           "version"]


def attention(qkv, heads, row=None):
    """Multi-head self-attention, softmax(q k^T / sqrt(D)) v by sample and head, with its gradient.

    qkv is (B, L, 3 C): queries, keys and values of all heads side by side, as one linear layer makes them, and head h
    has columns h D ... h D + D - 1 of each, D = C / heads. Returns (B, L, C). `row` forces a row by name, forward and
    backward.
    """
    from . import _autograd
    return _autograd.attention(qkv, heads, row)


def layernorm(x, weight, bias, eps=1e-5, row=None):
    """LayerNorm over the last dimension, with the gradients of x, weight and bias.

    eps is by default that of torch.nn.functional.layer_norm. weight and bias (C) may be of another dtype than x: they
    are rounded to it, and their gradients have theirs.
    """
    from . import _autograd
    return _autograd.layernorm(x, weight, bias, eps, row)
