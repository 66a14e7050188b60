"""Opens what labels are exported of: a store, or a folder of `wsss predict`; and says what its photos' files are."""

from __future__ import annotations

from pathlib import Path

from wsss.core.errors import UserError
from wsss.core.missing import similar
from wsss.data.index import Record, read_index
from wsss.export.labels import Labels
from wsss.export.predicted import Predicted, is_predicted
from wsss.stores.labels import LabelStore, RelabelledStore
from wsss.stores.opened import open_store

Opened = tuple[Labels, dict[str, Record]]


def open_labels(source: Path, dataset: Path | None = None) -> Opened:
    """The labels of `source`, and the records of its photos by id: of the index `dataset`, for a store else of the one
    beside it, if there is one. Raises `UserError` for what holds no labels.
    """
    if not source.exists():
        fix = "give a store, such as artifacts/pseudo, or a folder of wsss predict"
        raise UserError(source, f"no such folder{similar(source)}", fix)
    if is_predicted(source):
        predicted = Predicted(source)
        return predicted, predicted.records
    store = open_store(source)
    if not isinstance(store, LabelStore):
        what = f"a store of {store.format}, expected labels (pseudo-labels or predictions)"
        raise UserError(source, what, "give artifacts/pseudo, artifacts/predictions, or a folder of wsss predict")
    beside = source.parent / "dataset"
    found = dataset or (beside if (beside / "index.csv").is_file() else None)
    return store, {record.id: record for record in read_index(found).records} if found else {}


def refuse_empty(labels: Labels) -> None:
    """Raise `UserError` if there are labels of no photo."""
    if not labels.ids:
        one_round = isinstance(labels, RelabelledStore)
        why = ": distill.rounds is 1, so no first student has corrected labels" if one_round else ""
        fix = "give labels of photos: artifacts/pseudo has those of all, artifacts/predictions those of val"
        raise UserError(labels.path, f"holds no photo{why}", fix)
