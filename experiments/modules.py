"""The paper's Table 3: what each module of OSTE adds. All else is as in params.yaml."""

from __future__ import annotations

from experiments.table import Column, Row, Table

LEM, MAF, FBE = "train.expansion.enabled", "train.fusion.enabled", "train.enhance.crf.enabled"


def _without(*switches: str) -> tuple[str, ...]:
    return tuple(f"{switch}=false" for switch in switches)


TABLE = Table(
    "modules",
    rows=(
        Row("baseline", _without(LEM, MAF, FBE), paper=50.85),
        Row("+ LEM", _without(MAF, FBE), paper=53.82),
        Row("+ MAF", _without(LEM, FBE), paper=55.79),
        Row("+ FBE", _without(LEM, MAF), paper=54.23),
        Row("all", (), paper=58.47),
    ),
    columns=(
        Column("CAM, fixed threshold, train", "cam", "train"),
        Column("CAM, oracle threshold, train", "cam oracle", "train"),
        Column("pseudo-label, train", "pseudo-label", "train"),
        Column("coverage", "pseudo-label", "train", "coverage"),
        Column("segmentation branch, val", "oste", "val"),
        Column("ms + flip + CRF, val", "oste ms+flip+crf", "val"),
    ),
    paper="segmentation branch, VOC 2012 val, in the paper",
)
