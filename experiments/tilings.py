"""The paper's Table 1: which tilings of the photo location expansion uses. All else is as in params.yaml."""

from __future__ import annotations

from experiments.modules import COLUMNS
from experiments.table import Row, Table

VALUES = ("[2]", "[4]", "[8]", "[2,4]", "[2,4,8]")

TABLE = Table(
    "tilings", rows=tuple(Row(value, (f"train.expansion.tilings={value}",)) for value in VALUES), columns=COLUMNS
)
