"""attention and layernorm as functions that PyTorch can differentiate once."""

import torch
from torch.autograd.function import Function, once_differentiable

from ._launch import launch
from ._library import Error

# torch.compile, which cannot look into the library, breaks its graph here instead of trying to
_not_compiled = getattr(getattr(torch, "compiler", None), "disable", lambda function: function)


def _statistics(dtype):
    """The dtype in which the kernels keep sums over data of `dtype`."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _shape(tensor):
    return "(" + ", ".join(map(str, tensor.shape)) + ")"


class _Attention(Function):
    @staticmethod
    def forward(ctx, qkv, heads, row):
        B, L, _ = qkv.shape
        q, k, v = qkv.chunk(3, dim=-1)
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        lse = torch.empty((B, heads, L), dtype=_statistics(qkv.dtype), device=qkv.device)
        scalars = {"heads": heads, "scale": (q.shape[-1] / heads) ** -0.5}
        launch("attention_forward", row, q=q, k=k, v=v, out=out, lse=lse, **scalars)
        ctx.save_for_backward(qkv, out, lse)
        ctx.scalars, ctx.row = scalars, row
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, dout):
        qkv, out, lse = ctx.saved_tensors
        dqkv = torch.empty_like(qkv)
        q, k, v = qkv.chunk(3, dim=-1)
        dq, dk, dv = dqkv.chunk(3, dim=-1)
        launch("attention_backward", ctx.row, q=q, k=k, v=v, out=out, lse=lse, dout=dout.contiguous(), dq=dq, dk=dk,
               dv=dv, **ctx.scalars)
        return dqkv, None, None


@_not_compiled
def attention(qkv, heads, row=None):
    if qkv.dim() != 3 or qkv.shape[-1] % 3 != 0:
        raise Error(f"attention: qkv must be (B, L, 3 C), and is {_shape(qkv)}")
    if heads < 1 or qkv.shape[-1] // 3 % heads != 0:
        raise Error(f"attention: {heads} heads do not divide C = {qkv.shape[-1] // 3}")
    return _Attention.apply(qkv.contiguous(), heads, row)


class _LayerNorm(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps, row):
        y = torch.empty_like(x)
        mean, rstd = (torch.empty(x.shape[0], dtype=_statistics(x.dtype), device=x.device) for _ in range(2))
        gamma, beta = weight.to(x.dtype).contiguous(), bias.to(x.dtype).contiguous()
        launch("layernorm_forward", row, x=x, gamma=gamma, beta=beta, y=y, mean=mean, rstd=rstd, eps=eps)
        ctx.save_for_backward(x, gamma, mean, rstd)
        ctx.row, ctx.dtypes = row, (weight.dtype, bias.dtype)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, gamma, mean, rstd = ctx.saved_tensors
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dgamma = dbeta = None
        if any(ctx.needs_input_grad[1:3]):
            dgamma, dbeta = (torch.empty_like(gamma, dtype=mean.dtype) for _ in range(2))
        launch("layernorm_backward", ctx.row, dy=dy.contiguous(), x=x, gamma=gamma, mean=mean, rstd=rstd, dx=dx,
               dgamma=dgamma, dbeta=dbeta)
        if dgamma is not None:
            dgamma, dbeta = dgamma.to(ctx.dtypes[0]), dbeta.to(ctx.dtypes[1])
        return dx, dgamma, dbeta, None, None


@_not_compiled
def layernorm(x, weight, bias, eps=1e-5, row=None):
    if x.dim() == 0 or weight.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
        raise Error(f"layernorm: weight {_shape(weight)} and bias {_shape(bias)} must be (C) of x {_shape(x)}")
    rows = x.reshape(-1, x.shape[-1]).contiguous()
    return _LayerNorm.apply(rows, weight, bias, eps, row).view(x.shape)
