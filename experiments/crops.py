"""How large a piece of the photo OSTE and the student see in training, in pixels. All else is as in params.yaml."""

from __future__ import annotations

from experiments import modules, students
from experiments.table import Row, Table

VALUES = (128, 192, 256, 320)

TABLE = Table(
    "crops",
    rows=tuple(Row(f"{value}", (f"train.augment.crop={value}", f"distill.augment.crop={value}")) for value in VALUES),
    columns=(*modules.COLUMNS, *students.COLUMNS),
)
