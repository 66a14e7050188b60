"""Masks as polygons along the edges of their pixels: drawing a polygon gives back exactly the pixels it was made of.

A part of a mask is what is connected by sides of pixels, and becomes one polygon. A hole is joined to the outline above
it by a cut of no width, down and up again: drawn by the even-odd rule or by winding numbers, it stays a hole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Polygon = npt.NDArray[np.int64]
Point = tuple[int, int]


def outlines(mask: npt.NDArray[np.bool_], tolerance: float = 0.0) -> list[Polygon]:
    """(H, W) bool → a polygon (P, 2) of corners x, y in pixels for each part, the topmost first.

    The photo's own corners are (0, 0) and (W, H). `tolerance`: corners are left out as long as none of them lies
    farther than this from the new outline, in pixels; 0 keeps all.
    """
    rings = _Rings(mask)
    return [_simplified(np.array(rings.polygon(begin)), tolerance) for begin in rings.outer]


class _Rings:
    """The outlines of a mask's parts and of their holes, by the number of the corner that each begins with.

    Corners are numbered row by row. Where two pixels touch at a point only, two corners lie on it, one of each pixel.
    `cuts`: by horizontal edge, where holes are joined to it, and which.
    """

    def __init__(self, mask: npt.NDArray[np.bool_]) -> None:
        ys, xs, right, below = _corners(mask)
        self.xs, self.ys = xs.tolist(), ys.tolist()
        # Corners 2n and 2n + 1 end one horizontal edge; of a vertical one, `across` gives each corner the other.
        columns = np.lexsort((below, ys, xs))
        across = np.empty_like(columns)
        across[columns] = columns.reshape(-1, 2)[:, ::-1].ravel()
        self.across: list[int] = across.tolist()
        self.outer: list[int] = []
        self.cuts: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.rings: dict[int, list[int]] = {}
        width = mask.shape[1] + 1
        places, seen = ys * width + xs, bytearray(len(xs))
        for begin in np.flatnonzero(right & below).tolist():
            if seen[begin]:
                continue
            ring = self._around(begin)
            for corner in ring:
                seen[corner] = 1
            x, y = self.xs[begin], self.ys[begin]
            if mask[y, x]:
                self.outer.append(begin)
                self.rings[begin] = ring
            else:
                self.rings[begin] = [begin, *ring[:0:-1], begin]
                full = mask[:y, x - 1] & mask[:y, x]
                top = 0 if full.all() else y - int(np.argmin(full[::-1]))
                self.cuts[int(np.searchsorted(places, top * width + x)) // 2].append((x, begin))

    def polygon(self, begin: int) -> list[Point]:
        """One part with its holes: clockwise as seen, the holes the other way round."""
        points: list[Point] = []
        open_rings = [self._steps(begin)]  # no recursion: holes below holes may be many
        while open_rings:
            step = next(open_rings[-1], None)
            if step is None:
                open_rings.pop()
            elif isinstance(step, int):
                open_rings.append(self._steps(step))
            elif not points or points[-1] != step:
                points.append(step)
        return points

    def _around(self, begin: int) -> list[int]:
        ring, corner = [begin, begin ^ 1], self.across[begin ^ 1]
        while corner != begin:
            ring += [corner, corner ^ 1]
            corner = self.across[corner ^ 1]
        return ring

    def _steps(self, begin: int) -> Iterator[Point | int]:
        """Along one outline: its corners, and the numbers of the holes that are joined to it."""
        ring = self.rings[begin]
        for corner, following in pairwise([*ring, ring[0]]):
            y = self.ys[corner]
            yield self.xs[corner], y
            if following == corner ^ 1:
                for x, hole in sorted(self.cuts.get(corner // 2, ()), reverse=corner > following):
                    yield x, y
                    yield hole
                    yield x, y


def _corners(mask: npt.NDArray[np.bool_]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(N,) each, row by row: y, x, and whether the corner's edges go to the right, and down."""
    padded = np.pad(mask, 1)
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    right, below = ne != se, sw != se
    single = (right != (nw != sw)) & (below != (nw != ne))
    falling, rising = (nw & se & ~ne & ~sw, ne & sw & ~nw & ~se)
    kinds = [(single, right, below)]
    kinds += [(falling, np.full_like(right, side), np.full_like(right, side)) for side in (False, True)]
    kinds += [(rising, np.full_like(right, side), np.full_like(right, not side)) for side in (False, True)]
    parts = [(*np.nonzero(where), to_right[where], to_below[where]) for where, to_right, to_below in kinds]
    ys, xs, to_right, to_below = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((to_right, xs, ys))
    return ys[order], xs[order], to_right[order], to_below[order]


def _simplified(polygon: Polygon, tolerance: float) -> Polygon:
    """By Douglas and Peucker; as it is where nothing would be left of it."""
    if tolerance <= 0:
        return polygon
    closed = np.vstack([polygon, polygon[:1]])
    far = int(np.argmax(np.hypot(*(polygon - polygon[0]).T)))
    kept, spans = {0, far}, [(0, far), (far, len(polygon))]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        distances = _distances(closed[first + 1 : last], closed[first], closed[last])
        worst = int(np.argmax(distances))
        if distances[worst] > tolerance:
            middle = first + 1 + worst
            kept.add(middle)
            spans += [(first, middle), (middle, last)]
    chosen = polygon[sorted(kept)]
    x, y = chosen.T
    return chosen if np.dot(x, np.roll(y, -1)) != np.dot(y, np.roll(x, -1)) else polygon


def _distances(points: Polygon, begin: Polygon, end: Polygon) -> npt.NDArray[np.float64]:
    """(N,) of `points` (N, 2) from the line between `begin` and `end` (2,), which ends there; pixels."""
    along = end - begin
    at = np.clip((points - begin) @ along / max(1, int(along @ along)), 0, 1)
    return np.hypot(*(points - begin - at[:, None] * along).T)
