"""`python -m manual.diagrams`: draw docs/images/pipeline.svg and oste.svg.

SVG by hand, because it needs no program and no network where it is shown. Each picture has a light card of its own, so
that it can be read on a dark page, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

from wsss.core.atomic import write_text

FOLDER = Path("docs/images")
INK, CARD, BOX, DATA, LOSS = "#1b2a33", "#fbfcfd", "#dcebf2", "#fdf0dc", "#f3e1ea"
LINE, SMALL = 17, 12


@dataclass(frozen=True)
class Box:
    """A rounded box with its middle at (`x`, `y`); the first of `lines` is bold, the others small."""

    x: float
    y: float
    width: float
    lines: tuple[str, ...]
    fill: str = BOX

    @property
    def height(self) -> float:
        return 20 + LINE * len(self.lines)

    def svg(self) -> str:
        """Rectangle and text."""
        top = self.y - self.height / 2
        parts = [
            f'<rect x="{self.x - self.width / 2:g}" y="{top:g}" width="{self.width:g}" height="{self.height:g}" '
            f'rx="7" fill="{self.fill}" stroke="{INK}"/>'
        ]
        for number, line in enumerate(self.lines):
            style = 'font-weight="600"' if number == 0 else f'font-size="{SMALL}"'
            y = top + 10 + LINE * (number + 0.75)
            parts.append(f'<text x="{self.x:g}" y="{y:g}" {style}>{escape(line)}</text>')
        return "\n".join(parts)


@dataclass(frozen=True)
class Arrow:
    """A line through `points`, with a head at its end, and a word beside its middle."""

    points: tuple[tuple[float, float], ...]
    word: str = ""
    at: tuple[float, float] = (0, -8)
    dashed: bool = False

    def svg(self) -> str:
        """Polyline and word."""
        places = " ".join(f"{x:g},{y:g}" for x, y in self.points)
        dash = ' stroke-dasharray="5 4"' if self.dashed else ""
        parts = [f'<polyline points="{places}" fill="none" stroke="{INK}" marker-end="url(#head)"{dash}/>']
        if self.word:
            (x0, y0), (x1, y1) = self.points[0], self.points[1]
            x, y = (x0 + x1) / 2 + self.at[0], (y0 + y1) / 2 + self.at[1]
            parts.append(f'<text x="{x:g}" y="{y:g}" font-size="{SMALL}">{escape(self.word)}</text>')
        return "\n".join(parts)


def picture(width: int, height: int, title: str, parts: Sequence[Box | Arrow]) -> str:
    """The file: card, arrow head, then the parts in their order."""
    head = (
        f'<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker>'
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="15" fill="{INK}" text-anchor="middle">',
        f"<title>{escape(title)}</title>",
        f"<defs>{head}</defs>",
        f'<rect width="{width}" height="{height}" rx="10" fill="{CARD}"/>',
        *(part.svg() for part in parts),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def pipeline() -> str:
    """The stages in two rows, with what each hands to the next; masks enter at the end only."""
    photos = Box(90, 70, 130, ("photos + tags",), DATA)
    index = Box(270, 70, 130, ("index", "table, checksums"))
    pretrain = Box(450, 70, 130, ("pretrain", "classifier on tags"))
    train = Box(630, 70, 130, ("train", "OSTE"))
    cams = Box(810, 70, 130, ("cams", "a map of each tag"))
    correct = Box(810, 200, 130, ("correct", "pseudo-labels"))
    distill = Box(630, 200, 130, ("distill", "student"))
    evaluate = Box(450, 200, 130, ("evaluate", "scores, predictions"))
    gallery = Box(270, 200, 130, ("gallery", "page, verdict"))
    masks = Box(90, 200, 150, ("masks, if any", "to score, never to train"), DATA)
    row = [photos, index, pretrain, train, cams]
    back = [correct, distill, evaluate, gallery]
    arrows = [
        Arrow(((left.x + left.width / 2, left.y), (right.x - right.width / 2, right.y)))
        for left, right in pairwise(row)
    ]
    arrows += [
        Arrow(((right.x - right.width / 2, right.y), (left.x + left.width / 2, left.y)))
        for right, left in pairwise(back)
    ]
    arrows += [
        Arrow(((cams.x, cams.y + cams.height / 2), (correct.x, correct.y - correct.height / 2))),
        Arrow(((630, 97), (630, 173)), "features", (34, 4), dashed=True),
        Arrow(((90, 227), (90, 258), (450, 258), (450, 227)), dashed=True),
    ]
    return picture(900, 275, "The stages of the pipeline", [*arrows, *row, *back, masks])


def oste() -> str:
    """A photo through the training step of OSTE: three modules between a classifier and a segmentation branch."""
    photo = Box(75, 150, 110, ("photo", "and its tiles"), DATA)
    backbone = Box(230, 150, 120, ("backbone", "levels c2 … c5"))
    tiles = Box(430, 65, 190, ("location expansion", "M^merge, of the tiles"))
    whole = Box(430, 235, 190, ("classifier", "M^MS, of the photo"))
    fusion = Box(645, 150, 170, ("multilevel fusion", "M̂, by the affinity of levels"))
    enhance = Box(845, 150, 150, ("enhancement", "background, CRF:", "labels of the crop"))
    branch = Box(645, 325, 200, ("segmentation branch", "reads the last level"))
    tags = Box(430, 325, 110, ("tags",), DATA)
    arrows = [
        Arrow(((130, 150), (170, 150))),
        Arrow(((290, 150), (312, 150), (312, 65), (335, 65))),
        Arrow(((290, 150), (312, 150), (312, 235), (335, 235))),
        Arrow(((525, 65), (542, 65), (542, 140), (560, 140))),
        Arrow(((525, 235), (542, 235), (542, 160), (560, 160))),
        Arrow(((290, 150), (560, 150)), "levels", (0, -6)),
        Arrow(((730, 150), (770, 150))),
        Arrow(((845, 186), (845, 325), (745, 325)), "seg, energy", (-42, 63)),
        Arrow(((230, 177), (230, 378), (645, 378), (645, 352)), "features of the last level", (200, 94)),
        Arrow(((430, 308), (430, 262)), "cls", (18, 4), dashed=True),
    ]
    return picture(
        930, 400, "The training step of OSTE", [*arrows, photo, backbone, tiles, whole, fusion, enhance, branch, tags]
    )


PICTURES = {"pipeline.svg": pipeline, "oste.svg": oste}


def main() -> None:
    """Write the pictures."""
    for name, draw in PICTURES.items():
        write_text(FOLDER / name, draw())


if __name__ == "__main__":
    main()
