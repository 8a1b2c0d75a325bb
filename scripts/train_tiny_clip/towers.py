"""The two towers of the tiny CLIP in PyTorch. `export` writes the same arithmetic as ONNX from their weights."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

DIMENSIONS = 64
IMAGE_WIDTH, IMAGE_BLOCKS, TEXT_WIDTH, TEXT_BLOCKS, HEADS = 96, 3, 64, 2, 4
STEM = (3, 16, 32, 64, IMAGE_WIDTH)
"""Channels; each of the four convolutions halves the picture: 64 x 64 becomes 4 x 4 tokens."""
END_ID = 1
"""Id of the end token, where the text's feature is read."""


class Block(nn.Module):
    """A transformer block: attention, then a network of four times the width, each after a layer norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        n, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-1, -2) / math.sqrt(width // HEADS)
        weights = weights if mask is None else weights + mask
        x = x + self.out((weights.softmax(-1) @ v).transpose(1, 2).reshape(n, length, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class ImageTower(nn.Module):
    """float32 [N, 3, 64, 64] in -2 … 2 to [N, 64], not normalised."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(STEM):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.stem = nn.Sequential(*layers[:-1])
        self.place = nn.Parameter(torch.randn(1, 17, IMAGE_WIDTH) * 0.02)
        self.summary = nn.Parameter(torch.zeros(1, 1, IMAGE_WIDTH))
        self.blocks = nn.ModuleList(Block(IMAGE_WIDTH) for _ in range(IMAGE_BLOCKS))
        self.norm = nn.LayerNorm(IMAGE_WIDTH)
        self.head = nn.Linear(IMAGE_WIDTH, DIMENSIONS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.summary.expand(x.shape[0], -1, -1), x], 1) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class TextTower(nn.Module):
    """int64 [N, 24] to [N, 64], not normalised: the feature at the end token, which sees all tokens before it."""

    def __init__(self, n_tokens: int, length: int) -> None:
        super().__init__()
        self.words = nn.Embedding(n_tokens, TEXT_WIDTH)
        self.place = nn.Parameter(torch.randn(1, length, TEXT_WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(TEXT_WIDTH) for _ in range(TEXT_BLOCKS))
        self.norm = nn.LayerNorm(TEXT_WIDTH)
        self.head = nn.Linear(TEXT_WIDTH, DIMENSIONS, bias=False)
        self.register_buffer("mask", torch.full((length, length), -1e4).triu(1), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.place
        for block in self.blocks:
            x = block(x, self.mask)
        at_end = (tokens == END_ID).to(x.dtype).unsqueeze(-1)
        return self.head((self.norm(x) * at_end).sum(1))
