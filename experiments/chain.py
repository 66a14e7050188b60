"""The whole chain as params.yaml has it, hand-over by hand-over: give it several seeds to see what a score is worth."""

from __future__ import annotations

from experiments import students
from experiments.table import Column, Row, Table

TABLE = Table(
    "chain",
    rows=(Row("recipe", ()),),
    columns=(
        Column("CAM, fixed threshold, train", "cam", "train"),
        Column("pseudo-label, train", "pseudo-label", "train"),
        Column("labelled pixels only", "pseudo-label", "train", "miou_labelled"),
        Column("coverage", "pseudo-label", "train", "coverage"),
        Column("corrected by the first round, train", "relabelled", "train"),
        Column("pseudo-label, val", "pseudo-label", "val"),
        Column("OSTE's branch, val", "oste", "val"),
        Column("OSTE's branch, ms + flip + CRF, val", "oste ms+flip+crf", "val"),
        *students.COLUMNS,
    ),
    val_only=(
        Column("CAM, fixed threshold, val", "cam", "val"),
        Column("CAM, best threshold (oracle), val", "cam oracle", "val"),
        Column("labelled pixels only, val", "pseudo-label", "val", "miou_labelled"),
        Column("coverage, val", "pseudo-label", "val", "coverage"),
    ),
)
