"""Stage `correct`: CAMs → pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from wsss.core.folders import publish
from wsss.core.log import warn
from wsss.core.params import Settings, load
from wsss.core.stage import open_stage, stage_command
from wsss.correct.mixtures import LOST
from wsss.correct.settings import CorrectSettings
from wsss.correct.stage import make_pseudo_labels, summarise
from wsss.correct.tables import write_tables
from wsss.data.index import read_index
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Location
from wsss.stores.cams import CamStore

FOUND = 0.5
"""Fraction of a class's photos with a label of it, below which the class is named."""
NAMED = 5
"""Photos that a line names; the rest are counted."""
CUT_ANYWAY = "none needed: the fixed thresholds cut it"


class Params(Settings):
    """What this stage reads of params.yaml."""

    dataset: Location
    inference: InferenceSettings
    correct: CorrectSettings


@stage_command
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--cams", type=click.Path(path_type=Path), default="artifacts/cams")
@click.option("--out", type=click.Path(path_type=Path), default="artifacts/pseudo")
@click.option("--mixtures", type=click.Path(path_type=Path), default="reports/mixtures.csv")
@click.option("--histograms", type=click.Path(path_type=Path), default="reports/mixture_histograms.csv")
def main(params: Path, dataset: Path, cams: Path, out: Path, mixtures: Path, histograms: Path) -> str:
    """Make pseudo-labels from CAMs: thresholds, Gaussian mixtures and a dense CRF, 255 where ignored."""
    settings = load(params, Params)
    identity, tables = settings.model_dump(exclude={"dataset"}), [mixtures, histograms]
    with open_stage("correct", identity, [dataset, cams], files=tables, folders=[out]) as stage:
        index = read_index(dataset)
        photos, source = settings.dataset.photos(index.records), CamStore(cams)
        labels = make_pseudo_labels(stage, index, photos, source, settings.correct, settings.inference.shard_size)
        made = summarise(labels, photos, source, index.foreground)
        write_tables((mixtures, histograms), source, labels, index)
        publish(labels.path, out)
    if made.no_signal:
        warn(
            cams,
            f"{len(made.no_signal)} photos have a tag without CAM signal, e.g. {', '.join(made.no_signal[:NAMED])}",
            "see reports/train_tags.csv: a class that is told well has wrong tags here; another one is not learnt",
        )
    rare = [
        f"{name} ({found} of {of} photos)"
        for name, of, found in zip(index.classes[1:], made.tagged, made.labelled_with, strict=True)
        if found < FOUND * of
    ]
    if rare:
        what = f"classes that many of their photos have no label of: {', '.join(rare)}"
        warn(out, what, f"{settings.correct.made().advice}; or see whether the classifier tells them: train_tags.csv")
    share = len(made.empty) / len(index.records)
    if share > 0.2:
        if len(set(made.empty) & set(made.no_signal)) > len(made.empty) / 2:
            fix = "see reports/train_tags.csv for the classes that the classifier has not learnt"
        else:
            fix = settings.correct.made().advice
        what = f"{share:.0%} of the photos got no foreground label, e.g. {', '.join(made.empty[:NAMED])}"
        warn(out, what, fix)
    for reason, ids in made.guards.items():
        if reason == "no_signal":
            continue  # no threshold cuts these, and they are reported above
        what = f"{len(ids)} photos have a map that no mixture cuts ({reason}), e.g. {', '.join(ids[:NAMED])}"
        warn(mixtures, what, "make them again: dvc repro -f -s cams" if reason in LOST else CUT_ANYWAY)
    return (
        f"correct: {len(index.records)} photos, {made.coverage:.1%} of pixels labelled, "
        f"{len(made.empty)} without foreground{some_of(made.empty)}, {len(made.no_signal)} without signal → {out}"
    )


def some_of(ids: Sequence[str]) -> str:
    """`` (images/7, images/9 and 3 more)``: the first photos of a list; nothing of an empty one."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f" ({', '.join(ids[:NAMED])}{more})" if ids else ""


if __name__ == "__main__":
    main()
