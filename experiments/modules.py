"""The paper's Table 3: what each module of OSTE adds. All else is as in params.yaml."""

from __future__ import annotations

from experiments.table import Column, Row, Table

SWITCHES = {
    "LEM": ("train.expansion.enabled", "true", "false"),
    "MAF": ("train.fusion.enabled", "true", "false"),
    "FBE": ("train.enhance.crf", "published", "off"),
}
"""The key of each module, and what it is with the module and without."""

COLUMNS = (
    Column("CAM, fixed threshold, train", "cam", "train"),
    Column("CAM, oracle threshold, train", "cam oracle", "train"),
    Column("pseudo-label, train", "pseudo-label", "train"),
    Column("coverage", "pseudo-label", "train", "coverage"),
    Column("segmentation branch, val", "oste", "val"),
    Column("ms + flip + CRF, val", "oste ms+flip+crf", "val"),
)
"""What is scored of every variation of OSTE."""


def _with(*modules: str) -> tuple[str, ...]:
    return tuple(f"{key}={on if name in modules else off}" for name, (key, on, off) in SWITCHES.items())


TABLE = Table(
    "modules",
    rows=(
        Row("baseline", _with(), paper=50.85),
        Row("+ LEM", _with("LEM"), paper=53.82),
        Row("+ MAF", _with("MAF"), paper=55.79),
        Row("+ FBE", _with("FBE"), paper=54.23),
        Row("all", _with("LEM", "MAF", "FBE"), paper=58.47),
    ),
    columns=COLUMNS,
    paper="segmentation branch, VOC 2012 val, in the paper",
)
