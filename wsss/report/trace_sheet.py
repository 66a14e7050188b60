"""One photo through a run as a single sheet: photo, mask and every step, each with a caption, and a legend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss.data.captions import caption, legend
from wsss.data.index import IGNORE
from wsss.data.palette import BACKGROUND, display_palette
from wsss.data.render import heat_overlay, label_overlay
from wsss.data.size import fit_label, resized
from wsss.evaluation.counting import CAMS
from wsss.report.ranking import values_of
from wsss.report.sheets import PAPER, joined
from wsss.report.trace import Trace
from wsss.report.trace_steps import STUDENT, Step

WIDTH, HEIGHT, ACROSS = 340, 420, 5
"""Pixels that a picture may be wide and high, and most pictures in a row."""
GAP = 10
TITLE, TEXT, HEAD = 15, 13, 20
"""Sizes of letters in pixels."""
Tile = tuple[str, str, np.ndarray]
"""Its title, a line on it, and a picture (H, W, 3) uint8."""


@dataclass(frozen=True)
class TraceDrawing:
    """What `wsss inspect` draws of a photo that it traces: as `Drawing` does of one store."""

    trace: Trace

    def plain(self) -> np.ndarray:
        """(H, W', 3) uint8: the labels of the steps in their colours, side by side, without any text; black where there
        is none.
        """
        labels = [fit_label(step.label, self.trace.record.size) for step in self.trace.steps]
        pictures = [display_palette()[label] for label in labels] or [np.zeros((*self.trace.record.size, 3), np.uint8)]
        return joined(pictures, GAP, axis=1)

    def sheet(self, data: Path | None = None) -> np.ndarray:
        """(H, W, 3) uint8: all pictures of one size, in rows, from the photo to the final prediction. The photo is the
        one of the trace, which `data` can no more change.
        """
        trace, tiles = self.trace, list(_tiles(self.trace))
        across = math.ceil(len(tiles) / math.ceil(len(tiles) / ACROSS))
        drawn = [_titled(*tile) for tile in tiles]
        drawn += [np.full_like(drawn[0], PAPER)] * (-len(drawn) % across)
        rows = [joined(drawn[start : start + across], GAP, axis=1) for start in range(0, len(drawn), across)]
        width = rows[0].shape[1]
        tags = ", ".join(trace.classes[tag] for tag in trace.record.tags) or "none"
        head = caption(f"{trace.record.id} ({trace.record.split}), tags: {tags}", width, HEAD)
        shown = [*(step.label for step in trace.steps), *([] if trace.mask is None else [trace.mask])]
        present = set(trace.record.tags).union(*map(values_of, shown))
        under = [legend(trace.classes, present, width, TITLE), *(caption(text, width, TEXT) for text in _notes(trace))]
        return joined([head, *rows, *under], GAP)


def _tiles(trace: Trace) -> Iterator[Tile]:
    height, width = trace.record.size
    scale = min(WIDTH / width, HEIGHT / height)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    plain = np.full((*trace.record.size, 3), BACKGROUND, np.uint8)
    ground = resized(plain if trace.photo is None else trace.photo, size)
    yield "Photo", "not here, or another one now" if trace.photo is None else f"{width} x {height} pixels", ground
    if trace.mask is not None:
        yield "Mask", _classes(trace, trace.mask), _laid(ground, trace.mask)
    for step in trace.steps:
        if step.name == CAMS[0]:
            continue  # its numbers are in the text
        for name, scores in step.maps.items():
            found = step.mapped[name]
            text = f"mean {found.mean:.2f}, {100 * found.above:.0f} % above {trace.threshold:.2f}"
            yield f"CAM: {name}", text, heat_overlay(ground, scores)
        yield _title(trace, step), _line(step), _laid(ground, step.label)


def _laid(ground: np.ndarray, label: np.ndarray) -> np.ndarray:
    return label_overlay(ground, fit_label(label, ground.shape), display_palette())


def _title(trace: Trace, step: Step) -> str:
    """What a person calls the step."""
    if step.name == CAMS[1]:
        return f"CAMs, cut at {trace.threshold:.2f}"
    if not step.name.startswith(STUDENT):
        return step.name.capitalize()
    how = {"": "at one scale", " ms+flip": "with scales and flip", " ms+flip+crf": "with CRF"}
    last = " (final)" if step is trace.steps[-1] else ""
    return f"Student {how[step.name.removeprefix(STUDENT)]}{last}"


def _line(step: Step) -> str:
    iou = [] if step.iou is None else [f"IoU {step.iou:.2f}"]
    ignored = float((step.label == IGNORE).mean())
    parts = [*iou, *([f"{100 * ignored:.0f} % ignored"] if ignored else [])]
    if (change := step.change) is not None:
        known = change.better is not None and change.worse is not None
        judged = f"{100 * (change.better or 0):.0f} % better, {100 * (change.worse or 0):.0f} % worse"
        parts.append(f"changed: {judged if known else f'{100 * change.changed:.0f} %'}")
    return ", ".join(parts)


def _classes(trace: Trace, label: np.ndarray) -> str:
    return ", ".join(trace.classes[value] for value in values_of(label) if 0 < value < len(trace.classes))


def _notes(trace: Trace) -> list[str]:
    """What the lines above the pictures mean."""
    threshold = f"above {trace.threshold:.2f}: of the map stretched to its own minimum and maximum, as it is cut"
    notes = [f"CAM: dark is 0, bright is 1, the peak; {threshold}"]
    if trace.mask is not None:
        judged = "of the photo's pixels, since the picture before; better and worse by the mask"
        notes.append(f"IoU: mean over the photo's classes, background included; changed: {judged}")
    return notes


def _titled(title: str, line: str, picture: np.ndarray) -> np.ndarray:
    """The picture in the middle of a field `WIDTH` wide, below its title and the line."""
    space = WIDTH - picture.shape[1]
    left = np.full((picture.shape[0], space // 2, 3), PAPER, np.uint8)
    right = np.full((picture.shape[0], space - space // 2, 3), PAPER, np.uint8)
    middle = np.concatenate([left, picture, right], axis=1)
    return np.concatenate([caption(title, WIDTH, TITLE), caption(line, WIDTH, TEXT), middle])
