"""The MAE of the paper in PyTorch, any floating type: what make_golden.py runs in float64, and the pieces that
classifier_reference.py shares. See README.md."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

PEAK_LR, WARMUP, STEPS, SNAPSHOT = 1e-2, 4, 10, 3
BETAS, ADAM_EPS, WEIGHT_DECAY = (0.9, 0.95), 1e-8, 0.05


class Patches:
    """What follows from the sizes of image and patch."""

    @property
    def grid(self):
        return self.image_height // self.patch, self.image_width // self.patch

    @property
    def patches(self):
        return self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class Config(Patches):
    """The official structure by default; the last seven fields are what the small-scale CIFAR-10 recipe changes."""

    image_height: int
    image_width: int
    channels: int
    patch: int
    dim: int
    depth: int
    heads: int
    decoder_dim: int
    decoder_depth: int
    decoder_heads: int
    mask_ratio: float = 0.75
    norm_pix: bool = True
    ln_eps: float = 1e-6
    qkv_bias: bool = True
    positions: str = "sincos"  # or "learned": trained, and the encoder table has no row for the cls token
    decoder_embed: bool = True
    decoder_norm: bool = True
    patch_order: str = "row,column,channel"  # of the target and the prediction; or "channel,row,column"
    decay: str = "official"  # not on 1-D tensors and biases; or "all"

    @property
    def pixels(self):
        return self.patch * self.patch * self.channels

    @property
    def keep(self):
        return int(self.patches * (1 - self.mask_ratio))


def add_affine(s, name, *weight, bias=True):
    s[name + ".weight"] = weight
    if bias:
        s[name + ".bias"] = weight[:1]


def add_blocks(s, prefix, depth, d, qkv_bias):
    for i in range(depth):
        add_affine(s, f"{prefix}.{i}.norm1", d)
        add_affine(s, f"{prefix}.{i}.attn.qkv", 3 * d, d, bias=qkv_bias)
        add_affine(s, f"{prefix}.{i}.attn.proj", d, d)
        add_affine(s, f"{prefix}.{i}.norm2", d)
        add_affine(s, f"{prefix}.{i}.mlp.fc1", 4 * d, d)
        add_affine(s, f"{prefix}.{i}.mlp.fc2", d, 4 * d)


def shapes(c):
    """Official key -> shape of every tensor of the state dict, frozen position tables included."""
    s = {"cls_token": (1, 1, c.dim), "mask_token": (1, 1, c.decoder_dim)}
    s["pos_embed"] = (1, c.patches + (c.positions == "sincos"), c.dim)
    s["decoder_pos_embed"] = (1, c.patches + 1, c.decoder_dim)
    add_affine(s, "patch_embed.proj", c.dim, c.channels, c.patch, c.patch)
    add_blocks(s, "blocks", c.depth, c.dim, c.qkv_bias)
    add_affine(s, "norm", c.dim)
    if c.decoder_embed:
        add_affine(s, "decoder_embed", c.decoder_dim, c.dim)
    add_blocks(s, "decoder_blocks", c.decoder_depth, c.decoder_dim, c.qkv_bias)
    if c.decoder_norm:
        add_affine(s, "decoder_norm", c.decoder_dim)
    add_affine(s, "decoder_pred", c.pixels, c.decoder_dim)
    return s


def frozen(c, key):
    return c.positions == "sincos" and key.endswith("pos_embed")


def sincos(dim, rows, columns):
    """(rows * columns + 1, dim): a zero row for cls; then the column in the first half, the row in the second; each
    half is its sines, then its cosines, at frequencies 10000^(-k / (dim / 4))."""
    quarter = dim // 4
    omega = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    token = torch.arange(rows * columns)
    row, column = (token // columns).double(), (token % columns).double()
    halves = [torch.cat([torch.sin(x[:, None] * omega), torch.cos(x[:, None] * omega)], 1) for x in (column, row)]
    return torch.cat([torch.zeros(1, dim, dtype=torch.float64), torch.cat(halves, 1)])


def normal(*shape, scale=1.0):
    return scale * torch.randn(*shape, dtype=torch.float64)


def make_param(c, key, shape):
    """Random everywhere (norms, biases and tokens too), so that no gradient path is zero by symmetry."""
    if c.positions == "sincos" and key.endswith("pos_embed"):
        return sincos(shape[-1], *c.grid)[None]
    if "norm" in key:
        return normal(*shape, scale=0.1) + key.endswith(".weight")
    if key.endswith(".weight"):
        fan_in = math.prod(shape[1:])
        return normal(*shape, scale=(2 if ".qkv." in key else 1) / math.sqrt(fan_in))
    return normal(*shape, scale=0.5 if key.endswith(("token", "pos_embed")) else 0.1)


def make_params(c):
    return {key: make_param(c, key, shape) for key, shape in shapes(c).items()}


def layer_norm(c, params, name, x):
    return F.layer_norm(x, x.shape[-1:], params[name + ".weight"], params[name + ".bias"], c.ln_eps)


def linear(params, name, x):
    return F.linear(x, params[name + ".weight"], params.get(name + ".bias"))


def attention(qkv):
    """Packed (B, T, 3, H, D) -> out (B, T, H, D), and lse (B, H, T) of the scaled scores."""
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) * qkv.shape[-1] ** -0.5
    return (scores.softmax(-1) @ v).transpose(1, 2), scores.logsumexp(-1)


def transformer(c, params, prefix, depth, heads, x, branch=lambda x, column: x):
    """`branch` changes what a residual branch adds: column 2i is the attention of block i, 2i + 1 its MLP."""
    batch, tokens, dim = x.shape
    for i in range(depth):
        b = f"{prefix}.{i}"
        qkv = linear(params, b + ".attn.qkv", layer_norm(c, params, b + ".norm1", x))
        out, _ = attention(qkv.reshape(batch, tokens, 3, heads, dim // heads))
        x = x + branch(linear(params, b + ".attn.proj", out.reshape(batch, tokens, dim)), 2 * i)
        hidden = F.gelu(linear(params, b + ".mlp.fc1", layer_norm(c, params, b + ".norm2", x)))
        x = x + branch(linear(params, b + ".mlp.fc2", hidden), 2 * i + 1)
    return x


def patchify(c, images):
    """(B, H, W, C) -> (B, L, pixels), patches row-major."""
    rows, columns = c.grid
    x = images.reshape(-1, rows, c.patch, columns, c.patch, c.channels)
    x = x.permute(0, 1, 3, 2, 4, 5) if c.patch_order == "row,column,channel" else x.permute(0, 1, 3, 5, 2, 4)
    return x.reshape(images.shape[0], c.patches, c.pixels)


def gather_rows(x, index):
    return torch.gather(x, 1, index[:, :, None].expand(-1, -1, x.shape[-1]))


def embed(c, params, images):
    """The cls token (1, 1, dim) and all patches (B, L, dim), with their positions."""
    name = "patch_embed.proj"
    x = F.conv2d(images.permute(0, 3, 1, 2), params[name + ".weight"], params[name + ".bias"], c.patch)
    x = x.flatten(2).transpose(1, 2) + params["pos_embed"][:, -c.patches :]
    cls = params["cls_token"]
    if c.positions == "sincos":
        cls = cls + params["pos_embed"][:, :1]
    return cls, x


def encode(c, params, images, rank):
    """The cls token and the kept patches, in the shuffled order: (B, 1 + keep, dim)."""
    cls, x = embed(c, params, images)
    kept = gather_rows(x, torch.argsort(rank, 1)[:, : c.keep])
    x = torch.cat([cls.expand(images.shape[0], -1, -1), kept], 1)
    return layer_norm(c, params, "norm", transformer(c, params, "blocks", c.depth, c.heads, x))


def decode(c, params, latent, rank):
    x = linear(params, "decoder_embed", latent) if c.decoder_embed else latent
    masked = params["mask_token"].expand(x.shape[0], c.patches - c.keep, -1)
    x = torch.cat([x[:, :1], gather_rows(torch.cat([x[:, 1:], masked], 1), rank)], 1) + params["decoder_pos_embed"]
    x = transformer(c, params, "decoder_blocks", c.decoder_depth, c.decoder_heads, x)
    x = layer_norm(c, params, "decoder_norm", x) if c.decoder_norm else x
    return linear(params, "decoder_pred", x)[:, 1:]


def masked_mse(pred, target, mask, norm_pix):
    if norm_pix:
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, unbiased=True, keepdim=True) + 1e-6).sqrt()
    return (((pred - target) ** 2).mean(-1) * mask).sum() / mask.sum()


def forward(c, params, images, rank):
    latent = encode(c, params, images, rank)
    pred = decode(c, params, latent, rank)
    return latent, pred, masked_mse(pred, patchify(c, images), (rank >= c.keep).double(), c.norm_pix)


def schedule(step):
    """Warm-up from 0, then half a cosine to 0; the first update has lr 0."""
    if step < WARMUP:
        return PEAK_LR * step / WARMUP
    return PEAK_LR * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def train(c, start, images, rank):
    """Returns the loss before each of the steps, and the trained parameters after the first SNAPSHOT of them."""
    params = {key: p.clone().requires_grad_(not frozen(c, key)) for key, p in start.items()}
    trained = {key: p for key, p in params.items() if p.requires_grad}
    decayed = {key for key, p in trained.items() if c.decay == "all" or (p.ndim > 1 and not key.endswith(".bias"))}
    groups = [{"params": [p for key, p in trained.items() if key in decayed], "weight_decay": WEIGHT_DECAY},
              {"params": [p for key, p in trained.items() if key not in decayed], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=0.0, betas=BETAS, eps=ADAM_EPS)
    losses, snapshot = [], {}
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step)
        loss = forward(c, params, images, rank)[2]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step + 1 == SNAPSHOT:
            snapshot = {key: p.detach().clone() for key, p in trained.items()}
    return losses, snapshot
