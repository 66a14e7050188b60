"""A frozen backbone that looks at each photo once: its features are kept in memory, and in a file between two runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from wsss.models.backbones.base import Backbone


class Remembering(nn.Module):
    """`backbone` in evaluation mode, whose levels `kept` of every photo are remembered as float16.

    The other levels come out empty, (N, 0, h, w). Photos of more than `most` pixels are looked at each time: at test
    scale 2 their features would fill the memory.
    """

    def __init__(self, backbone: Backbone, kept: Iterable[int], most: int, file: Path) -> None:
        super().__init__()
        self.backbone, self.levels, self.kept, self.most, self.file = backbone, backbone.levels, set(kept), most, file
        self.known: dict[str, list[torch.Tensor]] = torch.load(file, mmap=True) if file.exists() else {}
        self._saved = len(self.known)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, H, W) float 0..255 → one map for each level, float32."""
        if images.shape[-2] * images.shape[-1] > self.most:
            return [level.float() for level in self.backbone(images)]
        names = [hashlib.blake2b(image.numpy().tobytes(), digest_size=16).hexdigest() for image in images]
        new = [number for number, name in enumerate(names) if name not in self.known]
        if new:
            found = self.backbone(images[new])
            for row, number in enumerate(new):
                self.known[names[number]] = [self._part(level, number_of, row) for number_of, level in enumerate(found)]
        return [
            torch.stack([photo.float() for photo in maps])
            for maps in zip(*(self.known[name] for name in names), strict=True)
        ]

    def save(self) -> None:
        """Write what is new to the file."""
        if len(self.known) > self._saved:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part = self.file.with_name(f"{self.file.name}.part")
            torch.save(self.known, part)
            part.replace(self.file)
            self._saved = len(self.known)

    def _part(self, level: torch.Tensor, number: int, row: int) -> torch.Tensor:
        return level[row].half().clone() if number in self.kept else level[row, :0].half()
