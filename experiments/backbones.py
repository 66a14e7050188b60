"""Which ImageNet network the chain is built on. All else is as in params.yaml.

Weights of the larger ones are packages of their own; the error that misses one names it.
"""

from __future__ import annotations

from experiments import modules, students
from experiments.table import Row, Table

VALUES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")

TABLE = Table(
    "backbones",
    rows=tuple(Row(value, (f"pretrain.backbone.name={value}", f"distill.backbone.name={value}")) for value in VALUES),
    columns=(*modules.COLUMNS, *students.COLUMNS),
)
