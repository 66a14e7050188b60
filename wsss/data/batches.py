"""Whole photos in batches of one size, for the stages that run a network on every photo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from wsss.data.index import Record


def size_batches(records: Sequence[Record], batch: int) -> Iterator[list[Record]]:
    """Cut `records` into batches of photos of exactly one size, at most `batch` each.

    Exactly one size, because padding would change what the network sees at the border. Most photos of a data set share
    a few sizes. The result depends on the records alone.
    """
    buckets: dict[tuple[int, int], list[Record]] = {}
    for record in records:
        buckets.setdefault((record.height, record.width), []).append(record)
    for bucket in buckets.values():
        for start in range(0, len(bucket), batch):
            yield bucket[start : start + batch]


def needs(section: str, batch: Sequence[Record]) -> tuple[str, str, str]:
    """Arguments of `enough_memory` for a `batch`; `section`: the one with the scales in params.yaml."""
    first, count = batch[0], len(batch)
    photos = "" if count == 1 else f" and {count - 1} more"
    doing = f"on {first.width}×{first.height} pixels ({first.id}{photos})"
    fix = "lower inference.batch" if count > 1 else f"lower the largest of {section}.scales, or dataset.long_side"
    return section, doing, fix


def to_batch(images: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """N photos (H, W, 3) uint8 of one size → (N, 3, H, W) float32 0..255."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()
