"""ViT-B/16: the plain vision transformer of Dosovitskiy et al. (2020); DeiT (Touvron et al., 2021) shares it.

Written from the papers: patches of 16×16 pixels and a class token, learned positions, twelve pre-norm blocks of
attention and a two-layer perceptron. State dicts have the names that timm and DeiT gave it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones.base import Backbone, Level
from wsss.models.backbones.entry import Entry

PATCH, GRID, HEAD, DEPTH, CHANNELS = 16, 14, 64, 12, 768
"""Pixels a patch, patches a side of the trained grid (224 px), channels a head, blocks, channels."""
LEVELS = 4
EPS = 1e-6
STRIDES = (8, 16)


class PatchEmbedding(nn.Module):
    """`(N, 3, H, W)` → tokens `(N, 1 + h·w, C)`, the class token first, and `(h, w)` = ⌈H/stride⌉, ⌈W/stride⌉.

    The image is continued right and below by its mean, to whole cells. At stride 8 the patches overlap by half:
    each remains centred on its cell.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride, padding=(PATCH - stride) // 2)
        self.cls_token = nn.Parameter(torch.empty(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + GRID**2, channels))
        self.stride = stride
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        height, width = x.shape[2:]
        grid = ((height + self.stride - 1) // self.stride, (width + self.stride - 1) // self.stride)
        patches = self.proj(F.pad(x, (0, grid[1] * self.stride - width, 0, grid[0] * self.stride - height)))
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches.flatten(2).mT], 1)
        return tokens + self.positions(grid), grid

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """`(1, 1 + h·w, C)`: the learned positions, interpolated bicubically from 14×14 to `grid`.

        As a product with the two interpolation matrices, because CUDA's bicubic backward is not deterministic.
        """
        rows, columns = (bicubic(side, self.pos_embed) for side in grid)
        learned = self.pos_embed[0, 1:].reshape(GRID, GRID, -1)  # (14, 14, C)
        taller = (rows @ learned.flatten(1)).reshape(-1, GRID, learned.shape[-1])  # (h, 14, C)
        return torch.cat([self.pos_embed[:, :1], (columns @ taller).flatten(0, 1)[None]], 1)


def bicubic(side: int, like: Tensor) -> Tensor:
    """`(side, 14)`, rows of sum 1, dtype and device of `like`: `F.interpolate` with ``bicubic`` and ``antialias`` along
    one axis, from 14 cells to `side`. The identity for 14.

    Written out, and the step read off a tensor, so that an exported graph holds it for any size of photo: ONNX's own
    resize has no antialiasing along one axis, and a traced number would be a constant.
    """
    count = torch.arange(1, side + 1, dtype=like.dtype, device=like.device)
    step = GRID / count[-1]  # trained cells to a new one
    centres = (count - 0.5) * step
    trained = torch.arange(GRID, dtype=like.dtype, device=like.device) + 0.5
    # Antialiased: the positions of a grid finer than the new one are averaged and not picked.
    x = (centres[:, None] - trained).abs() / step.clamp(min=1)
    # Keys's kernel with a = −1/2.
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return weights / weights.sum(1, keepdim=True)


class Attention(nn.Module):
    """Self-attention among all tokens, heads of 64 channels. `(N, T, C)` → `(N, T, C)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        # (N, T, 3·C) → (3, N, heads, T, 64)
        query, key, value = self.qkv(x).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        y: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return y


class Mlp(nn.Module):
    """Two layers with GELU between, on each token. `(N, T, C)` → `(N, T, C)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """Attention, then perceptron, each on the normalised tokens and added to them. `(N, T, C)` → `(N, T, C)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=EPS)
        self.attn = Attention(channels)
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class ViTB16(Backbone):
    """Levels b3, b6, b9, b12: the tokens behind these blocks as maps of 768 channels at `output_stride` (16 or 8).

    The last one is normalised. All see the whole image, hence the values at stride 8 are not those at stride 16.
    `depth` (a multiple of 4; levels at its quarters) and `channels` (a multiple of 64) are for small tests.
    """

    mean = (127.5, 127.5, 127.5)
    std = (127.5, 127.5, 127.5)
    classifier_prefix = "head."

    def __init__(self, output_stride: int = 16, *, depth: int = DEPTH, channels: int = CHANNELS) -> None:
        super().__init__()
        if output_stride not in STRIDES:
            raise ValueError(f"output_stride {output_stride}: expected 8 or 16")
        if depth < LEVELS or depth % LEVELS or channels < HEAD or channels % HEAD:
            raise ValueError(f"depth {depth}, channels {channels}: expected positive multiples of {LEVELS} and {HEAD}")
        self.embed = PatchEmbedding(channels, output_stride)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(depth))
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self._spacing = depth // LEVELS
        self.levels = tuple(
            Level(f"b{number}", channels, output_stride) for number in range(self._spacing, depth + 1, self._spacing)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` normalised → four maps of any sign, without the class token."""
        x, grid = self.embed(x)
        maps = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number % self._spacing == 0:
                tokens = self.norm(x) if number == len(self.blocks) else x
                maps.append(tokens[:, 1:].mT.unflatten(2, grid))
        return tuple(maps)

    def up_to(self, levels: int) -> list[nn.Module]:
        """Embedding and the first `levels` quarters of the blocks; the final normalisation with the last."""
        modules: list[nn.Module] = [self.embed, *self.blocks[: levels * self._spacing]]
        return [*modules, self.norm] if levels == LEVELS else modules

    @staticmethod
    def pretrained_key(key: str) -> str:
        """`embed.proj.bias` → `patch_embed.proj.bias`, `embed.cls_token` → `cls_token`; the others are the same."""
        return key.replace("embed.proj.", "patch_embed.proj.").removeprefix("embed.")


class DeiTB16(ViTB16):
    """The same network as DeiT trained it: on images normalised by ImageNet's mean and deviation."""

    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)


WHY = "whose patches are of 16 pixels"
VIT_B16 = Entry(lambda stride, width: ViTB16(stride), strides=STRIDES, why=WHY)
DEIT_B16 = Entry(lambda stride, width: DeiTB16(stride), strides=STRIDES, why=WHY)
