"""What each stage of the distillation adds to a student of labels alone, for each kind of teacher; and the upper bound.

The upper bound's labels have to be there first: `python -m wsss.evaluation.import_masks`.
"""

from __future__ import annotations

from experiments.table import Column, Row, Table


def _with(
    stage1: bool, stage2: bool, teacher: str = "frozen", labels: str = "pseudo", begins: int = 2, oste: bool = True
) -> tuple[str, ...]:
    """`begins`: epochs before stage 2. `oste`: its CAMs, and edges, teach beside the predictions."""
    return (
        f"distill.stage1.enabled={str(stage1).lower()}",
        f"distill.stage2.enabled={str(stage2).lower()}",
        f"distill.stage2.cam.enabled={str(oste).lower()}",
        f"distill.stage2.energy.enabled={str(oste).lower()}",
        f"distill.teacher={teacher}",
        f"distill.labels={labels}",
        f"distill.stage1.epochs={begins}",
    )


TABLE = Table(
    "distillation",
    rows=(
        Row("labels only", _with(False, False)),
        Row("+ stage 1", _with(True, False)),
        Row("+ stage 2", _with(False, True)),
        Row("both", _with(True, True)),
        Row("both, ema teacher", _with(True, True, "ema")),
        Row("both, mutual", _with(True, True, "mutual")),
        Row("both, two students in turn", _with(True, True, "first", begins=4)),
        Row("two students in turn, of labels only", _with(False, True, "first", begins=4, oste=False)),
        Row("labels only, from masks (upper bound)", _with(False, False, labels="artifacts/masks_as_labels")),
    ),
    columns=(
        Column("pseudo-label, train", "pseudo-label", "train"),
        Column("OSTE's branch, val", "oste", "val"),
        Column("student, val", "student", "val"),
        Column("student, ms + flip + CRF, val", "student ms+flip+crf", "val"),
    ),
)
