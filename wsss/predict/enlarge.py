"""Label maps at a photo's own size from the size that the network reads it at.

The network and the CRF see the photo as it was read. Their probabilities are enlarged bilinearly, block by block, and
the label is the arg-max at full size: outlines are smooth, and memory does not grow with the photo.
"""

from __future__ import annotations

import numpy as np
import torch

from wsss.core.interrupt import check_stop
from wsss.crf.settings import CrfSettings
from wsss.predict.segment import Network, posteriors
from wsss.predict.tiles import Part, blocks, label_photo, sample, sample_part, scores, widened
from wsss.predict.view import OVERLAP, View

BLOCK = 1024
"""Side of the blocks, in pixels of the label map."""


def label_at(
    network: Network,
    name: str,
    image: np.ndarray,
    own_size: tuple[int, int],
    view: View,
    crf: CrfSettings | None,
    where: torch.device,
    parts: Network | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Photo (h, w, 3) uint8, as it was read → label (H, W) uint8 and its probability (H, W) float16 at `own_size`.

    Where the sizes are equal, exactly `tiles.label_photo`, which explains the other arguments.
    """
    size = (image.shape[0], image.shape[1])
    if size == own_size:
        return label_photo(network, name, image, view, crf, where, parts)
    coarse = scores(network, name, image, view, where, parts)
    label, confidence = np.empty(own_size, np.uint8), np.empty(own_size, np.float16)
    if crf is None:
        everywhere = slice(0, own_size[0]), slice(0, own_size[1])
        _fill(label, confidence, everywhere, Part(coarse, (0, 0), (coarse.shape[1], coarse.shape[2])))
        return label, confidence
    side = view.side(*size)
    block = side or max(size)
    margin = block // OVERLAP if side else 0
    for rows in blocks(size[0], block):
        for columns in blocks(size[1], block):
            around = widened(rows, margin, size[0]), widened(columns, margin, size[1])
            kept, refined = posteriors(image[around], sample(coarse, size, *around), crf)
            target = _enlarged(rows, size[0], own_size[0]), _enlarged(columns, size[1], own_size[1])
            part = Part(torch.from_numpy(refined), (around[0].start, around[1].start), size)
            _fill(label, confidence, target, part, kept)
    return label, confidence


def _fill(
    label: np.ndarray,
    confidence: np.ndarray,
    target: tuple[slice, slice],
    part: Part,
    classes: np.ndarray | None = None,
) -> None:
    """Fill `target` of the maps (H, W) from the probabilities of `classes` (P,), None: of all of them."""
    height, width = label.shape
    for rows in blocks(target[0].stop, BLOCK, target[0].start):
        for columns in blocks(target[1].stop, BLOCK, target[1].start):
            check_stop()
            found = sample_part(part, (height, width), rows, columns)
            best = found.argmax(0)
            label[rows, columns] = best if classes is None else classes[best]
            confidence[rows, columns] = found.max(0)


def _enlarged(part: slice, length: int, own: int) -> slice:
    return slice(round(part.start * own / length), round(part.stop * own / length))
