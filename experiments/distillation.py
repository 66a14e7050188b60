"""What each stage of the distillation adds to pseudo-labels only, for each kind of teacher; and the upper bound.

The upper bound's labels have to be there first: `wsss labels import-masks --out artifacts/masks_as_labels`.
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
    *parts: str,
    rounds: int = 1,
    teacher: str = "frozen",
    labels: str = "pseudo",
    begins: int = 2,
    energy: float = 0.1,
) -> tuple[str, ...]:
    """`parts` beside the labels; `begins`: epochs before stage 2 or of the first round; `energy`: its weight."""
    return (
        *(f"{switch}={str(name in parts).lower()}" for name, switch in SWITCHES.items()),
        f"distill.stage2.enabled={str(any(part in parts for part in STAGE2)).lower()}",
        f"distill.stage2.energy.weight={energy}",
        f"distill.stage2.kl.teacher={teacher}",
        f"distill.rounds={rounds}",
        f"distill.labels={labels}",
        f"distill.stage1.epochs={begins}",
    )


TABLE = Table(
    "distillation",
    rows=(
        Row("pseudo-labels only", _with()),
        Row("+ stage 1", _with("stage 1")),
        Row("+ stage 2", _with(*STAGE2)),
        Row("both", _with("stage 1", *STAGE2)),
        Row("both, mutual", _with("stage 1", *STAGE2, teacher="mutual")),
        Row("both, two rounds", _with("stage 1", "cam", "energy", rounds=2, begins=4)),
        Row("pseudo-labels only, two rounds", _with(rounds=2, begins=4)),
        Row("pseudo-labels and tags", _with("tags")),
        Row("pseudo-labels and tags, + stage 1", _with("tags", "stage 1")),
        Row("pseudo-labels and tags, + stage 1, + energy", _with("tags", "stage 1", "energy", energy=1.0)),
        Row("masks only (upper bound)", _with(labels=MASKS)),
        Row("masks and tags (upper bound)", _with("tags", labels=MASKS)),
    ),
    columns=(
        Column("pseudo-label, train", "pseudo-label", "train"),
        Column("OSTE's branch, val", "oste", "val"),
        Column("student, val", "student", "val"),
        Column("student, ms + flip + CRF, val", "student ms+flip+crf", "val"),
    ),
)
