"""Which classes the verdict of a run doubts, for what is made with the student of that run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss.core.errors import WsssError
from wsss.data.index import read_index
from wsss.predict.doubted import Doubted
from wsss.predict.project import section_of
from wsss.report.agreed import less_sure
from wsss.report.class_table import PER_CLASS
from wsss.report.masked import unmasked_classes
from wsss.report.own_masks import masks_as_written
from wsss.report.plots import read_table
from wsss.report.scores import Source, final_row, read_sources
from wsss.report.verdict import final_verdict

DOUBTFUL, LESS_SURE = "doubtful", "less sure"


def doubted_classes(root: Path, classes: Sequence[str]) -> Doubted | None:
    """Those of the project in `root`, by its folder of reports: what stage `gallery` would say of them now.

    None if there are none, if the reports are not there or cannot be read, or if its classes are not `classes`.
    """
    reports, split = root / "reports", str(section_of(root, "gallery").get("split", "val"))
    try:
        index, sources = read_index(root / "artifacts/dataset"), read_sources(reports / "sources.csv")
        if index.classes != tuple(classes):
            return None
        data, photos = section_of(root, "dataset"), [each for each in index.records if each.split == split]
        own = masks_as_written(root / str(data.get("root") or ""), str(data.get("masks") or ""), photos)
        verdict = final_verdict(reports, sources, index, split, own=len(own))
        judged = _judged(reports, final_row(sources, split)) if verdict.by_masks else []
    except (WsssError, KeyError, ValueError):
        return None  # what is wrong there is no matter of these photos
    unsure = less_sure(verdict.agreed, [index.classes[0], *verdict.weak, *judged])
    words = dict.fromkeys(verdict.weak, DOUBTFUL) | {each.name: LESS_SURE for each in unsure}
    return Doubted(words, str(reports)) if words else None


def _judged(reports: Path, score: Source | None) -> list[str]:
    """The classes that masks have judged: of these, agreement says nothing more."""
    if score is None or score.miou is None:
        return []
    table, unmasked = read_table(reports / PER_CLASS), unmasked_classes(reports)
    scored = zip(table.texts("class"), table.texts(score.source), strict=True)
    return [name for name, iou in scored if iou and name not in unmasked]
