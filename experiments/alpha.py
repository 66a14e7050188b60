"""The paper's Fig. 10: threshold α of the labels the segmentation branch learns from. All else is as in params.yaml."""

from __future__ import annotations

from experiments.modules import COLUMNS
from experiments.table import Row, Table

VALUES = ("0.5", "0.6", "0.7", "0.8", "0.9")

TABLE = Table("alpha", rows=tuple(Row(value, (f"train.enhance.alpha={value}",)) for value in VALUES), columns=COLUMNS)
