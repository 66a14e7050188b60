"""Students of other sizes than their teacher's, and where their backbone begins. All else is as in params.yaml."""

from __future__ import annotations

from experiments.table import Column, Row, Table

COLUMNS = (
    Column("student, val", "student", "val"),
    Column("student, ms + flip, val", "student ms+flip", "val"),
    Column("student, ms + flip + CRF, val", "student ms+flip+crf", "val"),
)
"""What is scored of every student."""

ROWS = (
    ("efficientnet_lite2", "oste"),
    ("efficientnet_lite0", "pretrained"),
    ("efficientnet_lite2", "pretrained"),
    ("efficientnet_lite1", "pretrained"),
)

TABLE = Table(
    "students",
    rows=tuple(
        Row(f"{name}, from {init}", (f"distill.backbone.name={name}", f"distill.init={init}")) for name, init in ROWS
    ),
    columns=COLUMNS,
)
