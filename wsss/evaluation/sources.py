"""The score table: one row for each source of labels, with how it was made and its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from wsss.data.index import Index, Record, Split
from wsss.data.masks import MaskedImages
from wsss.evaluation.boundary import boundary_iou
from wsss.evaluation.classification import TagScores, score_tags
from wsss.evaluation.confusion import Scores, scores
from wsss.evaluation.counting import CAMS, Counts, Stores, count_photos, final_sources
from wsss.evaluation.thresholds import BINS, ThresholdSweep
from wsss.numeric.precision import mean_known
from wsss.predict.collapse import Spread, count_values, spread_of
from wsss.predict.segment import SegmentSettings
from wsss.stores.imported import ImportedStore


class EvaluateSettings(SegmentSettings):
    """Section `evaluate` of params.yaml: how the student is run, and how CAMs are cut."""

    split: Split = Field(default="val", description="split whose photos the networks predict")
    by_tags: bool = Field(
        default=False,
        description="read both networks at scale 1, or without the CRF, where the tags of val photos say clearly that "
        "scales or crf do harm",
    )
    cam_threshold: float = Field(
        default=0.27, ge=0, lt=1, description="fixed threshold for scoring CAMs; 0.27 is where (1 − F)^4 = F"
    )


@dataclass(frozen=True)
class Made:
    """How a source was made: with the photo's tags or without, cut at which threshold (and who chose it), as a mean
    over several scales, refined by a CRF. None where that is not known.
    """

    tags_used: bool
    threshold: str
    multiscale: bool | None
    crf: bool | None


@dataclass(frozen=True)
class Row:
    """One line of the score table.

    `collapsed`: whether a network's last step predicts one class nearly everywhere, None where that is not checked;
    `boundary_iou`: (C,), None for oracle rows: the best threshold is known only after the last photo, and the bands
    would need a second pass over all photos.
    """

    source: str
    split: str
    images: int
    made: Made
    collapsed: bool | None
    scores: Scores
    boundary_iou: np.ndarray | None

    @property
    def boundary_miou(self) -> float:
        """Mean over classes as for mIoU, background included; NaN where there is none."""
        return float("nan") if self.boundary_iou is None else mean_known(self.boundary_iou)


@dataclass(frozen=True)
class Sweep:
    """mIoU (100,) of a CAM at every threshold; `fixed`, `oracle`: numbers of the set and of the best threshold."""

    miou: np.ndarray
    fixed: int
    oracle: int


@dataclass(frozen=True)
class Evaluation:
    """All rows; by source and split, the confusion matrices and the sweeps of the CAMs.

    For the predicted split only: `tags`, and by source the `spreads` of the networks' last steps.
    """

    rows: tuple[Row, ...]
    confusions: Mapping[tuple[str, str], np.ndarray]
    sweeps: Mapping[tuple[str, str], Sweep]
    tags: TagScores
    spreads: Mapping[str, Spread]


def evaluate(
    index: Index, masks: MaskedImages, stores: Stores, settings: EvaluateSettings, shared: Executor | None = None
) -> Evaluation:
    """Score every split that has masks. For the predicted split, add the scores that need no masks.

    `shared`: an executor that the stage has for other work too.
    """
    predicted = index.split(settings.split)
    spreads = spread_networks(predicted, stores)
    number = min(BINS - 1, round(settings.cam_threshold * BINS))
    rows: list[Row] = []
    confusions: dict[tuple[str, str], np.ndarray] = {}
    sweeps: dict[tuple[str, str], Sweep] = {}
    for split in index.splits():
        records = [record for record in index.split(split) if record.mask is not None]
        if not records:
            continue
        counts = count_photos(records, split, masks, stores, number, shared)
        swept = {name: sweep_of(counts[name].pairs, number) for name in CAMS if name in counts}
        sweeps |= {(name, split): sweep for name, sweep in swept.items()}
        in_part = {each.source: sum(r.id in each for r in records) for each in stores.labels if not each.whole}
        for source, threshold, pairs, bands in _cut(counts, swept):
            confusions[source, split] = pairs
            rows.append(
                Row(
                    source,
                    split,
                    in_part.get(source, len(records)),
                    how_made(source, threshold, stores, settings),
                    spreads[source].collapsed if source in spreads else None,
                    scores(pairs),
                    None if bands is None else boundary_iou(bands),
                )
            )
    tags = score_tags(predicted, stores.predictions, index.foreground)
    return Evaluation(tuple(rows), confusions, sweeps, tags, spreads)


def sweep_of(counts: np.ndarray, fixed: int) -> Sweep:
    """All thresholds of a CAM from its counts (C, C, 100); `fixed`: number of the configured one."""
    sweep = ThresholdSweep.of(counts)
    miou = np.array([scores(sweep.at(number)).miou for number in range(BINS)])
    return Sweep(miou, fixed, int(miou.argmax()))


def spread_networks(records: Sequence[Record], stores: Stores) -> dict[str, Spread]:
    """By source, how the last step of each network spreads over the classes."""
    pseudo = count_values(stores.pseudo, records)
    return {
        source: spread_of(records, count_values(stores.predictions, records, version), pseudo)
        for source, version in final_sources(stores.predictions).items()
    }


def how_made(source: str, threshold: str, stores: Stores, settings: EvaluateSettings) -> Made:
    """How `source` was made. `threshold`: what CAMs were cut at, else empty."""
    if source.startswith(CAMS):
        return Made(True, threshold, stores.cams.multiscale, crf=False)
    for labels in stores.labels:
        if source == labels.source:
            if isinstance(labels, ImportedStore):  # it may say of itself what was true of the labels that they replaced
                return Made(True, labels.threshold, None, None)
            multiscale = bool(labels.attributes.get("multiscale", stores.cams.multiscale))
            return Made(True, labels.threshold, multiscale, bool(labels.attributes.get("crf", False)))
    bound = any(labels.upper_bound for labels in stores.labels)
    decided = "oracle: masks" if bound and not source.startswith("oste") else "arg-max"
    return Made(False, decided, "ms" in source and len(settings.scales) > 1, "crf" in source)


def _cut(
    counts: Mapping[str, Counts], swept: Mapping[str, Sweep]
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray | None]]:
    """Rows: source, threshold, pairs (C, C + 1), bands. A CAM gives two, at the fixed and the best threshold."""
    for source, found in counts.items():
        if source in swept:
            sweep, at = swept[source], ThresholdSweep.of(found.pairs).at
            yield source, f"fixed {sweep.fixed / BINS:.2f}", at(sweep.fixed), found.bands
            yield f"{source} oracle", f"oracle {sweep.oracle / BINS:.2f}", at(sweep.oracle), None
        else:
            yield source, "", found.pairs, found.bands
