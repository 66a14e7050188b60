"""What each stage of the distillation adds to a student of labels alone, for each kind of teacher; and the upper bound.

The upper bound's labels have to be there first: `wsss labels import-masks`.
"""

from __future__ import annotations

from experiments.table import Column, Row, Table

SWITCHES = {
    "tags": "distill.tags.enabled",
    "stage 1": "distill.stage1.enabled",
    "kl": "distill.stage2.kl.enabled",
    "cam": "distill.stage2.cam.enabled",
    "energy": "distill.stage2.energy.enabled",
}
STAGE2 = ("kl", "cam", "energy")
MASKS = "artifacts/masks_as_labels"


def _with(
    *parts: str, teacher: str = "frozen", labels: str = "pseudo", begins: int = 2, energy: float = 0.1
) -> tuple[str, ...]:
    """`parts` beside the labels; `begins`: epochs before stage 2; `energy`: its weight."""
    stage2 = teacher == "first" or any(part in parts for part in STAGE2)
    return (
        *(f"{switch}={str(name in parts).lower()}" for name, switch in SWITCHES.items()),
        f"distill.stage2.enabled={str(stage2).lower()}",
        f"distill.stage2.energy.weight={energy}",
        f"distill.teacher={teacher}",
        f"distill.labels={labels}",
        f"distill.stage1.epochs={begins}",
    )


TABLE = Table(
    "distillation",
    rows=(
        Row("labels only", _with()),
        Row("+ stage 1", _with("stage 1")),
        Row("+ stage 2", _with(*STAGE2)),
        Row("both", _with("stage 1", *STAGE2)),
        Row("both, ema teacher", _with("stage 1", *STAGE2, teacher="ema")),
        Row("both, mutual", _with("stage 1", *STAGE2, teacher="mutual")),
        Row("both, two students in turn", _with("stage 1", *STAGE2, teacher="first", begins=4)),
        Row("two students in turn, of labels only", _with(teacher="first", begins=4)),
        Row("labels and tags", _with("tags")),
        Row("labels and tags, + stage 1", _with("tags", "stage 1")),
        Row("labels and tags, + stage 1, + energy", _with("tags", "stage 1", "energy", energy=1.0)),
        Row("labels only, from masks (upper bound)", _with(labels=MASKS)),
        Row("labels and tags, from masks (upper bound)", _with("tags", labels=MASKS)),
    ),
    columns=(
        Column("pseudo-label, train", "pseudo-label", "train"),
        Column("OSTE's branch, val", "oste", "val"),
        Column("student, val", "student", "val"),
        Column("student, ms + flip + CRF, val", "student ms+flip+crf", "val"),
    ),
)
