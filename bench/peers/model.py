"""The MAE of the paper (He et al., CVPR 2022) in PyTorch, as one would write it today: what a whole step of ours is held
against. The same function as tests/golden/reference.py, in modules, with the official keys in its state dict.

Two switches change how it is computed, not what: `sdpa` takes attention from F.scaled_dot_product_attention, else scores
are materialised, as the official recipe does; `trim` leaves out what the loss does not see: patches that are dropped after
their embedding, predictions of visible patches, and in the last decoder block all but their keys and values.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn


def sizes_of(described):
    """What `mae_bench step --describe` prints, as attributes, with what follows from it."""
    sizes = dict(described)
    rows, columns = sizes["image_height"] // sizes["patch"], sizes["image_width"] // sizes["patch"]
    sizes.update(rows=rows, columns=columns, patches=rows * columns)
    sizes.update(values=sizes["patch"] ** 2 * sizes["channels"])
    sizes.update(keep=int(sizes["patches"] * (1 - sizes["mask_ratio"])))
    return type("Sizes", (), sizes)


def positions(dim, rows, columns):
    """(1, 1 + L, dim): zeros for cls, then the column's sines and cosines, then the row's."""
    omega = 10000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    column = torch.arange(columns).repeat(rows).outer(omega)
    row = torch.arange(rows).repeat_interleave(columns).outer(omega)
    table = torch.cat([column.sin(), column.cos(), row.sin(), row.cos()], 1)
    return torch.cat([torch.zeros(1, dim), table.float()])[None]


def pick(x, index):
    """(B, T, C), (B, N) -> (B, N, C)."""
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class Attention(nn.Module):
    def __init__(self, dim, heads, qkv_bias, sdpa):
        super().__init__()
        self.heads, self.sdpa = heads, sdpa
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def split(self, x, parts):
        """(B, T, parts C) -> parts of (B, heads, T, D)."""
        heads = x.reshape(*x.shape[:2], parts, self.heads, x.shape[2] // parts // self.heads)
        return heads.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x, asking=None):
        """asking: (B, N, C), rows of x; only they have queries. None: all of x."""
        if asking is None:
            q, k, v = self.split(self.qkv(x), 3)
        else:
            dim, bias = x.shape[-1], self.qkv.bias
            (q,) = self.split(F.linear(asking, self.qkv.weight[:dim], None if bias is None else bias[:dim]), 1)
            k, v = self.split(F.linear(x, self.qkv.weight[dim:], None if bias is None else bias[dim:]), 2)
        if self.sdpa:
            out = F.scaled_dot_product_attention(q, k, v)
        else:
            out = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, dim, heads, sizes, sdpa):
        super().__init__()
        hidden = int(dim * sizes.mlp_ratio)
        self.norm1 = nn.LayerNorm(dim, eps=sizes.ln_eps)
        self.attn = Attention(dim, heads, sizes.qkv_bias, sdpa)
        self.norm2 = nn.LayerNorm(dim, eps=sizes.ln_eps)
        self.mlp = nn.Sequential(OrderedDict(fc1=nn.Linear(dim, hidden), act=nn.GELU(), fc2=nn.Linear(hidden, dim)))

    def forward(self, x, rows=None):
        """rows: (B, N), the only tokens whose output is wanted; None: all."""
        normed = self.norm1(x)
        if rows is None:
            x = x + self.attn(normed)
        else:
            x = pick(x, rows) + self.attn(normed, pick(normed, rows))
        return x + self.mlp(self.norm2(x))


class MAE(nn.Module):
    """sizes: sizes_of(...). forward(images (B, C, H, W), normalised) -> loss; `noise` (B, L) says the order of patches,
    of which the first `keep` stay visible; drawn where it is not given."""

    def __init__(self, sizes, sdpa=True, trim=False):
        super().__init__()
        self.sizes, self.trim = sizes, trim
        dim, width = sizes.dim, sizes.decoder_dim
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(sizes.channels, dim, sizes.patch, sizes.patch)})
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(positions(dim, sizes.rows, sizes.columns), requires_grad=False)
        self.blocks = nn.ModuleList(Block(dim, sizes.heads, sizes, sdpa) for _ in range(sizes.depth))
        self.norm = nn.LayerNorm(dim, eps=sizes.ln_eps)
        self.decoder_embed = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.decoder_pos_embed = nn.Parameter(positions(width, sizes.rows, sizes.columns), requires_grad=False)
        self.decoder_blocks = nn.ModuleList(
            Block(width, sizes.decoder_heads, sizes, sdpa) for _ in range(sizes.decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(width, eps=sizes.ln_eps)
        self.decoder_pred = nn.Linear(width, sizes.values)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embed["proj"].weight.data.flatten(1))

    def forward(self, images, noise=None):
        if noise is None:
            noise = torch.rand(images.shape[0], self.sizes.patches, device=images.device)
        order = noise.argsort(1)
        kept, masked = order[:, : self.sizes.keep], order[:, self.sizes.keep :]
        latent = self.encode(images, kept)
        pred = self.decode(latent, order.argsort(1), masked)
        return self.loss(images, pred, masked)

    def cut(self, images):
        """(B, C, H, W) -> (B, rows, columns, C, P, P), a view."""
        s = self.sizes
        x = images.reshape(-1, s.channels, s.rows, s.patch, s.columns, s.patch)
        return x.permute(0, 2, 4, 1, 3, 5)

    def encode(self, images, kept):
        proj, table = self.patch_embed["proj"], self.pos_embed[:, 1:]
        if self.trim:
            x = F.linear(pick(self.cut(images).flatten(3).flatten(1, 2), kept), proj.weight.flatten(1), proj.bias)
            x = x + table[0][kept]
        else:
            x = pick(proj(images).flatten(2).transpose(1, 2) + table, kept)
        cls = self.cls_token + self.pos_embed[:, :1]
        x = torch.cat([cls.expand(x.shape[0], -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def decode(self, latent, restore, masked):
        """Predictions of all patches; with trim of the masked ones, in the order of `masked`."""
        x = self.decoder_embed(latent)
        tokens = self.mask_token.to(x.dtype).expand(x.shape[0], self.sizes.patches - self.sizes.keep, -1)
        x = torch.cat([x[:, :1], pick(torch.cat([x[:, 1:], tokens], 1), restore)], 1) + self.decoder_pos_embed
        *blocks, last = self.decoder_blocks
        for block in blocks:
            x = block(x)
        if self.trim:
            return self.decoder_pred(self.decoder_norm(last(x, masked + 1)))
        return self.decoder_pred(self.decoder_norm(last(x)))[:, 1:]

    def loss(self, images, pred, masked):
        target = self.cut(images).permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(1, 2)
        if self.trim:
            target = pick(target, masked)
        if self.sizes.norm_pix:
            mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
            target = (target - mean) / (variance + 1e-6) ** 0.5
        loss = ((pred - target) ** 2).mean(-1)  # (B, L), or (B, masked)
        if self.trim:
            return loss.mean()
        mask = torch.zeros_like(loss).scatter(1, masked, 1.0)
        return (loss * mask).sum() / mask.sum()


def parameter_groups(model, decay=0.05):
    """The recipe's: no decay on vectors and biases, so that cls and mask token are decayed."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    free = [p for name, p in trained if p.ndim == 1 or name.endswith(".bias")]
    decayed = [p for name, p in trained if not (p.ndim == 1 or name.endswith(".bias"))]
    return [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
