"""What is in a file or a folder that wsss has written: values, text, and a photo's picture."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

from wsss.core.errors import UserError, WsssError
from wsss.core.folders import MARK
from wsss.core.missing import similar
from wsss.core.words import counted
from wsss.data.index import read_index
from wsss.evaluation.correction import EDITED
from wsss.export.predicted import is_predicted
from wsss.formats.problems import some
from wsss.models.checkpoint import FORMAT, VERSION, read_checkpoint
from wsss.predict.networks import onnx_card, onnx_session
from wsss.predict.package import is_package, read_package
from wsss.predict.written import is_filled
from wsss.report.beside import LABEL, NONE, PREDICTION, RELABELLED, photo_row
from wsss.report.drawing import Drawing, arrays_of, photo_file
from wsss.report.imported import imported_summary, learned_store, photo_origin
from wsss.report.pixel import store_pixel
from wsss.report.predicted import predicted_photo, predicted_summary
from wsss.report.reports import KINDS, MEANT, Table, in_a_line, meaning, report_summary
from wsss.report.summary import (
    REMEDY,
    SHARES,
    index_summary,
    network_summary,
    package_summary,
    photo_size,
    photo_summary,
    record_summary,
    store_summary,
)
from wsss.stores.cams import CamStore
from wsss.stores.hdf5 import read_array
from wsss.stores.labels import UPPER_BOUND, PredictionStore, PseudoStore, RelabelledStore
from wsss.stores.opened import ImportedStore, OneShard, is_store, known_id, open_store
from wsss.stores.store import Store

STORES = {
    CamStore: "CAMs",
    PseudoStore: "pseudo-labels",
    RelabelledStore: "labels as the first student changed them",
    ImportedStore: "imported labels",
    PredictionStore: "predictions",
}
"""What a store holds, for a list."""
UNBOUND = 1_000_000
"""Letters of a line where no terminal ends it."""


def look(
    path: Path, name: str | None, data: Path | None = None, at: tuple[int, int] | None = None, array: str = ""
) -> tuple[dict[str, Any], Drawing | None]:
    """The summary of `path` or of its photo `name`, and what can be drawn of it, where there is something. `data`: the
    folder of the photos, if not where the settings say; `at`: (x, y), a pixel of the photo to say more of; `array`:
    what is drawn of a store, if not its label or its scores.
    """
    if not path.exists():
        fix = "correct the path, or run the stage that writes it"
        raise UserError(path, f"no such file or folder{similar(path)}", fix)
    if path.suffix == ".h5" or is_store(path):
        source = OneShard(path) if path.suffix == ".h5" else open_store(path)
        if name is None:
            return store_summary(source) | (imported_summary(source) if isinstance(source, Store) else {}), None
        _refuse_other_split(source, name)
        return _photo(source, known_id(path, source.ids, name), data, at, array)
    if array:
        raise UserError(path, "has no arrays by name", "give a store, e.g. artifacts/pseudo; or leave --array away")
    if is_predicted(path):
        return (predicted_summary(path), None) if name is None else predicted_photo(path, name, at)
    if at is not None:
        raise UserError(path, "holds nothing of single pixels", "give a store, e.g. artifacts/cams; or leave --at away")
    if (path / "index.csv").is_file():
        index = read_index(path)
        if name is None:
            return index_summary(index), None
        found = known_id(path, tuple(record.id for record in index.records), name)
        record = next(record for record in index.records if record.id == found)
        place = path.resolve()
        return record_summary(record, index) | photo_file(place, found, data) | photo_row(place, found), None
    if name is None and path.is_dir() and not is_package(path) and (found_there := _contents(path)):
        return {"what": "folder", "contents": found_there}, None
    if path.suffix in KINDS and path.is_file():
        return report_summary(path, name), None
    if name is None and path.is_dir() and not is_package(path) and (line := in_a_line(path)):
        return {"what": line}, None
    if path.is_dir() and not is_package(path) and name is None:
        what = "is no folder that wsss has made: it holds no store, network, index, predictions or reports"
        raise UserError(path, what, "give e.g. artifacts or reports of a project; dvc repro makes them")
    if path.suffix not in (".pt", ".onnx") and not is_package(path):
        kinds = "a store, a shard (.h5), a checkpoint (.pt), an exported network (.onnx), a package, an index"
        what = f"neither {kinds}, a folder of wsss predict nor a report ({', '.join(KINDS)})"
        raise UserError(path, what, "give one of these, e.g. artifacts/pseudo")
    if name is not None:
        raise UserError(path, "a network holds no photos", "leave the ID away")
    return _network(path), None


def _contents(folder: Path) -> dict[str, str]:
    """By name, what each thing in `folder` that can be looked at is; one that is damaged says so, and a folder of such
    things names them.
    """
    found: dict[str, str] = {}
    for path in sorted(each for each in folder.iterdir() if not each.name.startswith(".")):
        try:
            if is_store(path):
                store = open_store(path)
                found[path.name] = f"{STORES[type(store)]} ({store.format}), {counted(len(store.ids), 'photo')}"
            elif is_predicted(path):
                found[path.name] = f"predictions of wsss predict, {predicted_summary(path)['photos']} photos"
            elif (path / "index.csv").is_file():
                found[path.name] = f"index of a data set, {len(read_index(path).records)} photos"
            elif path.is_file() and path.suffix in (".pt", ".onnx"):
                found[path.name] = " ".join(str(_network(path).get(key, "")) for key in ("what", "kind")).strip()
                found[path.name] += meaning(path.name)
            elif line := in_a_line(path):
                found[path.name] = line
            elif (path / MARK).is_file():
                found[path.name] = f"folder that wsss has written{meaning(path.name)}"
            elif path.is_dir() and (names := [each.name for each in sorted(path.iterdir()) if _is_known(each)]):
                found[path.name] = f"folder of {some(names)}: wsss inspect {shlex.quote(str(path))}"
        except WsssError as error:
            found[path.name] = f"cannot be read: {error.what}"
    return found


def _is_known(path: Path) -> bool:
    """Whether `path` is something of wsss to look at, without reading it."""
    if path.is_dir():
        return is_store(path) or is_filled(path) or (path / "index.csv").is_file() or (path / MARK).is_file()
    return path.suffix in (".pt", ".onnx", ".csv") or path.name in MEANT


def lines(summary: dict[str, Any], indent: str = "", shares: bool = False) -> list[str]:
    """A summary as text: a line a value, nested values indented, shares in per cent; an absent value is "none".

    Nested lists are those of settings, so they stay lists: ``[1.25]``. Tables are no wider than a terminal.
    """
    text = []
    for key, value in summary.items():
        if isinstance(value, dict):
            text += [f"{indent}{key}:", *lines(value, indent + "  ", key == SHARES)]
        elif isinstance(value, Table):
            text += ["", *value.lines(shutil.get_terminal_size((UNBOUND, 0)).columns)]
        elif isinstance(value, (list, tuple)):
            items = ", ".join(map(plain_value, value))
            text.append(f"{indent}{key}: [{items}]" if indent else f"{key}: {items or 'none'}")
        elif shares:
            text.append(f"{indent}{key}: {100 * value:.2f} %")
        else:
            text.append(f"{indent}{key}: {plain_value(value)}")
    return text


def plain_value(value: Any) -> str:
    """A value as params.yaml writes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _refuse_other_split(source: Store | OneShard, name: str) -> None:
    """Raise `UserError` for a photo of the data set beside a store that has only photos of other splits."""
    dataset = source.path.parent / "dataset"
    if name in source.ids or isinstance(source, OneShard) or not (dataset / "index.csv").is_file():
        return
    splits = {record.id: record.split for record in read_index(dataset).records}
    own = sorted({splits.get(one, "") for one in source.ids})
    if name in splits and splits[name] not in own:
        what = f"has photos of split {' and '.join(own)}, and {name!r} is of split {splits[name]}"
        raise UserError(source.path, what, f"wsss inspect artifacts/pseudo {name}")


def _kind(source: Store | OneShard) -> str:
    """Which of its kinds the labels of `source` are, or `NONE`: imported."""
    if source.format == PredictionStore.format:
        return PREDICTION
    if EDITED in source.attributes or (UPPER_BOUND in source.attributes and "multiscale" not in source.attributes):
        return NONE
    return RELABELLED if "multiscale" in source.attributes else LABEL


def _is_of(source: Store | OneShard, store: Path, name: str) -> str:
    """What the numbers of `photo_row` have to be of to be said of photo `name` in the folder `store`; empty of CAMs, of
    which none is. What the table calls the label is the one that the student has learned from: that of the stage, or
    an imported one.
    """
    if source.format == CamStore.format:
        return ""
    kind = _kind(source)
    if kind in (PREDICTION, RELABELLED):
        return kind
    learned = learned_store(store.parent.parent)
    if learned is not None and name in learned:
        return LABEL if learned.path.resolve() == store else NONE
    return LABEL if kind == LABEL and store.name == PseudoStore.place.name else NONE


def _photo(
    source: Store | OneShard, name: str, data: Path | None, at: tuple[int, int] | None, array: str
) -> tuple[dict[str, Any], Drawing | None]:
    group = source.group(name)
    store = (source.path.parent if isinstance(source, OneShard) else source.path).resolve()
    summary = photo_summary(name, group, source.classes) | photo_origin(group) | photo_file(store, name, data)
    summary |= photo_row(store, name, _is_of(source, store, name))
    field = array or ("label" if "label" in group else "scores" if "scores" in group else "")
    if not field:
        return summary, None
    label, maps = arrays_of(group, name, field, source.classes)
    size = photo_size(group) if label is None and "scores" in group else read_array(group, "label", REMEDY).shape
    if at is not None:
        summary["pixel"] = store_pixel(store, name, group, source.classes, (size[0], size[1]), at)
    if label is None and not maps:
        return summary, None
    return summary, Drawing(store, name, source.classes, (size[0], size[1]), label, maps, array or _title(source))


def _title(source: Store | OneShard) -> str:
    """What the label of a photo in `source` is called under its picture."""
    return {PREDICTION: "Prediction", RELABELLED: "Relabelled", NONE: "Imported label", LABEL: "Pseudo-label"}[
        _kind(source)
    ]


def _network(path: Path) -> dict[str, Any]:
    if path.suffix == ".onnx":
        return {"what": "exported network", **onnx_card(path, onnx_session(path)), "bytes": path.stat().st_size}
    if is_package(path):
        return package_summary(path, read_package(path))
    return network_summary(path, read_checkpoint(path, FORMAT, VERSION))
