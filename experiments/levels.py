"""The paper's Table 2: which levels of the backbone the fusion reads. All else is as in params.yaml."""

from __future__ import annotations

from experiments.modules import COLUMNS
from experiments.table import Row, Table

VALUES = ("[c5]", "[c4,c5]", "[c3,c4,c5]", "[c2,c3,c4,c5]")

TABLE = Table("levels", rows=tuple(Row(value, (f"train.fusion.levels={value}",)) for value in VALUES), columns=COLUMNS)
