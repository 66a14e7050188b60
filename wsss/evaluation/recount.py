"""Counts a run's scores again, from what it has stored and from the masks, and compares them with its tables.

What `dvc.lock` says of a table proves nothing where somebody has edited both. The stores are read and counted by what
stage `evaluate` uses itself, and the tables are written anew, elsewhere, by what has written them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wsss.core.errors import IntegrityError, UserError
from wsss.core.executor import workers_for
from wsss.core.locked_files import read_stages
from wsss.core.params import Settings, load
from wsss.core.words import counted
from wsss.data.index import Index, read_index
from wsss.data.masks import MaskedImages, read_mask_checksums
from wsss.data.origins import LABELS_SHA
from wsss.data.photos import Location
from wsss.data.tables import plain_rows
from wsss.evaluation.counting import Stores
from wsss.evaluation.sources import EvaluateSettings, evaluate
from wsss.evaluation.tables import LABEL_NAMES, write_tables
from wsss.formats.problems import some
from wsss.stores.cams import CamStore
from wsss.stores.imported import ImportedStore, Labels, imported_labels
from wsss.stores.labels import LABEL_STORES, PredictionStore, RelabelledStore
from wsss.stores.options import open_label_stores

SOURCES, METRICS = "sources.csv", "metrics.json"
KEYS = {
    SOURCES: 2,
    METRICS: 0,
    "per_class.csv": 1,
    "classes.csv": 3,
    "confusion.csv": 2,
    "thresholds.csv": 1,
    "classification.csv": 1,
}
"""The tables that follow from stored arrays and masks, and how many columns name a row of each."""
DATASET, MASKS, CAMS, PREDICTIONS = (f"artifacts/{name}" for name in ("dataset", "masks.csv", "cams", "predictions"))
STORED = (DATASET, MASKS, CAMS, *(kind.place.as_posix() for kind in LABEL_STORES), PREDICTIONS)
AGREES = "agrees"
ROUNDING = 0.0001
"""By how much a score may differ: CAMs are enlarged in floats, whose last bits depend on the processor."""
NAMED = 3
"""Differences that an error names; the rest are counted."""
FIX = "predict and score anew, which writes the tables: dvc repro -f -s evaluate"
NOT_COUNTED = (
    f"not counted again: whether the networks predict what {PREDICTIONS} holds, and ways.csv, which needs them "
    "(dvc repro -f -s evaluate does both); photos.csv and interval.csv, and what the gallery shows (dvc repro -f -s "
    "gallery); tables of the trainings, such as agreement.csv. wsss verify names those of them that no note knows"
)
OF_IMPORTED = (ImportedStore.source, f"{LABEL_NAMES[ImportedStore.source]}_")
"""How columns and metrics of imported labels begin."""

Table = dict[tuple[str, ...], dict[str, str]]
"""By what names a row, its cells by column."""


@dataclass(frozen=True)
class Recount:
    """By row of `SOURCES` (``student, val``) `AGREES`, what differs, or why it could not be counted; the other tables
    that agree; an error for each that does not.
    """

    rows: dict[str, str]
    same: tuple[str, ...]
    errors: tuple[IntegrityError, ...]

    def lines(self) -> list[str]:
        """For people."""
        rows = [f"  {name}: {found}" for name, found in self.rows.items()]
        same = [f"agree, counted again: {', '.join(self.same)}"] if self.same else []
        return [f"{SOURCES}, counted again from stored arrays and masks:", *rows, *same, NOT_COUNTED]


class _Now(Settings):
    """What params.yaml says."""

    dataset: Location
    distill: Labels = Labels()
    evaluate: EvaluateSettings


def recount(root: Path) -> Recount:
    """Count the scores of the run in the folder `root` again. Raises `UserError` where a store or a mask is not there,
    or a mask is not the one that was indexed; `IntegrityError` for damaged stores, and for tables that are none.
    """
    reports = root / "reports"
    written = {name: _read(reports / name) for name in KEYS if (reports / name).is_file()}
    if SOURCES not in written:
        raise UserError(reports / SOURCES, "no such file, so there is no score to count again", "dvc repro evaluate")
    if absent := [name for name in STORED if not (root / name).exists()]:
        what = f"not here: {', '.join(absent)}; scores are counted from {'it' if len(absent) == 1 else 'them'}"
        raise UserError(root, what, "copy the whole run again, or take it from DVC's cache: dvc checkout")
    now = load(root / "params.yaml", _Now, whole=False)
    labels, how = _settings(root / "dvc.lock", now)
    index = read_index(root / DATASET)
    masked = _masked(root, index, now.dataset)
    stores, imported, lost = _stores(root, index, labels)
    if scales := str(stores.predictions.attributes.get("scales", "")).split():  # `evaluate.by_tags` may have chosen
        how = how.model_copy(update={"scales": tuple(map(float, scales))})
    with TemporaryDirectory() as folder, workers_for() as workers:
        write_tables(Path(folder), index, evaluate(index, masked, stores, how, workers), how.split, imported)
        again = {name: _read(Path(folder) / name) for name in written}
    differing = {name: dict(_differences(written[name], again[name], lost)) for name in written}
    rows = {row: differing[SOURCES].get(row, AGREES) for row in map(", ".join, again[SOURCES] | written[SOURCES])}
    rows |= {row: lost for row in map(", ".join, written[SOURCES]) if lost and row.startswith(ImportedStore.source)}
    errors = (_error(reports / name, found) for name, found in differing.items() if found)
    same = tuple(name for name, found in differing.items() if not found and name != SOURCES)
    return Recount(rows, same, tuple(errors))


def _settings(lock: Path, now: _Now) -> tuple[Labels, EvaluateSettings]:
    """Those that the scores were made with: of `lock`, if it knows stage `evaluate`."""
    entry: Mapping[str, Any] = read_stages(lock).get("evaluate", {}) if lock.is_file() else {}
    noted = {name: part or {} for file in entry.get("params", {}).values() for name, part in file.items()}
    if "evaluate" not in noted:
        return now.distill, now.evaluate
    fields = {name: noted["evaluate"][name] for name in ("split", "cam_threshold") if name in noted["evaluate"]}
    how = EvaluateSettings(scales=tuple(noted["evaluate"]["scales"]), **fields)
    return Labels.model_validate(noted.get("distill", {})), how


def _masked(root: Path, index: Index, place: Location) -> MaskedImages:
    """The photos with their masks, which are all there; else `UserError`."""
    masks = [record.mask for record in index.records if record.mask is not None]
    if not masks:
        fix = "wsss verify without --recount compares the bytes"
        raise UserError(root / DATASET, "no photo has a mask, so no score was counted, and none can be again", fix)
    folder = root / place.root
    if missing := [mask for mask in masks if not (folder / mask).is_file()]:
        what = f"scores are counted against masks, and {len(missing)} of {counted(len(masks), 'mask')} are not here"
        fix = "put the data set there, or name its folder in dataset.root of params.yaml"
        raise UserError(folder, f"{what}: {some(missing, NAMED)}", fix)
    photos = Location(root=str(folder), max_megapixels=place.max_megapixels).photos(index.records)
    return MaskedImages(photos, len(index.classes), read_mask_checksums(root / MASKS), index.dropped)


def _stores(root: Path, index: Index, labels: Labels) -> tuple[Stores, bool, str]:
    """What was scored; whether the student learned from imported labels; and, where these are not there any more, why
    they cannot be scored.
    """
    own = open_label_stores({kind.place.name: root / kind.place for kind in LABEL_STORES})
    noted = next(str(one.attributes.get(LABELS_SHA, "")) for one in own if isinstance(one, RelabelledStore))
    place = None if labels.place is None else root / labels.place
    imported = imported_labels(place, noted)
    labelled = own if imported is None else (*own, imported)
    stores = Stores(CamStore(root / CAMS), labelled, PredictionStore(root / PREDICTIONS))
    for store in (stores.cams, *stores.labels, stores.predictions):
        store.expect_classes(index.classes)
    lost = place is not None and imported is None
    why = f"cannot be counted: {place} is not what the student learned from, or not here"
    return stores, bool(noted), why if lost else ""


def _read(path: Path) -> Table:
    """A table of `KEYS`, whatever its columns are; `IntegrityError` if it is none, or says something twice."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.name == METRICS:
            return {(): {name: f"{value:.4f}" for name, value in json.loads(text).items()}}
        header, *rows = list(plain_rows(csv.reader(io.StringIO(text, newline="")))) or [[]]
        if any(len(row) != len(header) for row in rows):
            raise ValueError("its rows are of different lengths")
        keys = KEYS[path.name]
        found = {tuple(row[:keys]): dict(zip(header[keys:], row[keys:], strict=True)) for row in rows}
        if len(found) < len(rows) or len(set(header)) < len(header):
            raise ValueError("a row or a column is there twice")
    except (ValueError, TypeError, AttributeError, csv.Error) as error:
        raise IntegrityError(path, f"is not the table that stage evaluate writes ({error})", FIX) from error
    return found


def _differences(written: Table, again: Table, lost: str) -> Iterator[tuple[str, str]]:
    """Rows that are others, by name, and what was written and what was counted; of imported labels that are `lost`,
    nothing is said.
    """
    for key in again | written:
        if lost and ImportedStore.source in key:
            continue
        before, now = written.get(key, {}), again.get(key, {})
        pairs = {name: (before.get(name, ""), now.get(name, "")) for name in now | before}
        found = [
            f"{name} {first or 'nothing'} is written, {second or 'nothing'} was counted"
            for name, (first, second) in pairs.items()
            if not (_same(first, second) or (lost and name.startswith(OF_IMPORTED)))
        ]
        if found:
            yield ", ".join(key), "; ".join(found)
    if not lost and list(written) != list(again) and written.keys() == again.keys():
        yield "its rows", "are in another order"


def _same(written: str, again: str) -> bool:
    try:
        return written == again or abs(float(written) - float(again)) < 1.5 * ROUNDING
    except ValueError:
        return False


def _error(path: Path, differing: Mapping[str, str]) -> IntegrityError:
    rows = [f"{name}: {found}" if name else found for name, found in differing.items()]
    more = f"; and {counted(len(rows) - NAMED, 'more row')}" if len(rows) > NAMED else ""
    return IntegrityError(path, f"is not what stored arrays and masks give: {'; '.join(rows[:NAMED])}{more}", FIX)
