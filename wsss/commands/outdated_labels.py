"""Labels that `distill.labels` names and that a data set has outgrown: `wsss check` says so before any training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wsss.core.errors import UserError
from wsss.core.labels_fit import labels_fit, named_labels
from wsss.core.settings_file import line_of, read_settings

if TYPE_CHECKING:
    from wsss.formats.build import Survey


def labels_of(params: Path, survey: Survey | None) -> tuple[list[UserError], list[UserError]]:
    """What has changed in the data set since labels were corrected that `distill.labels` names: a warning where photos
    have come or gone, an error where the labels are of other classes.
    """
    place = named_labels(params)
    if survey is None or place is None:
        return [], []
    splits = {record.id: record.split for record in survey.index.records}
    if (fit := labels_fit(place, splits, survey.index.classes)) is None:
        return [], []
    index = "python -m pipeline.index && "
    try:
        fit.check(index)
    except UserError as error:
        return [], [error]
    if not fit.changed or fit.whole:
        return [], []
    where = line_of(read_settings(params), ["distill", "labels"])
    fix = "none needed"
    if fit.again:
        fix += f"; for the pipeline's newest labels of all other photos, too: {index}{fit.again}"
    return [UserError(f"{params}:{where}", f"distill.labels: {place}: {fit.told}", fix)], []
