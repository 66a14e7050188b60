"""α and γ of the fixed thresholds (Eqs 10–13): pseudo-labels of one store of CAMs, made with each pair and scored.

Masks are read here, to score. What is chosen by this table on a split is an oracle's choice for that split.
"""

from __future__ import annotations

from pathlib import Path

import click

from experiments.correction import Params, fixed_rows, read_photos, table_of
from wsss.core.params import load
from wsss.core.stage import stage_command
from wsss.data.index import read_index
from wsss.numeric.device import set_threads
from wsss.stores.cams import CamStore

GAMMAS = (4.0, 3.0, 2.0, 1.34, 1.0, 0.7)


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--cams", type=click.Path(path_type=Path), default="artifacts/cams")
@click.option("--split", default="val")
def main(params: Path, dataset: Path, cams: Path, split: str) -> str:
    """Print the scores of the labels for each γ and α, with and without CRF."""
    settings, index = load(params, Params), read_index(dataset)
    set_threads(1)
    photos = read_photos(settings.dataset, index, CamStore(cams), split)
    rows = []
    for gamma in GAMMAS:
        fixed = settings.correct.fixed.model_copy(update={"gamma": gamma})
        chosen = settings.correct.model_copy(update={"fixed": fixed})
        rows += [(f"γ = {gamma}, {name}", crf, found) for name, crf, found in fixed_rows(photos, index, chosen)]
    return table_of(rows)


if __name__ == "__main__":
    main()
