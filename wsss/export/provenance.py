"""What is known of how a network was made: its data set, settings and scores, where they can be tied to its file.

`dvc.lock` ties them: it lists the checksum of the network beside those of what the same run has written. What it does
not list, or lists otherwise, is of another run and counts as unknown.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss.core.errors import WsssError
from wsss.core.locked_files import content_md5, file_md5, read_lock, read_settings
from wsss.core.locked_stages import newer_stage
from wsss.core.recipes import SCHEMA
from wsss.core.stage import hash_input
from wsss.data.index import Index, read_index
from wsss.data.origins import LABELS_SHA
from wsss.models.checkpoint import NetworkCard
from wsss.stores.labels import PseudoStore, RelabelledStore
from wsss.stores.whose import whose_text

LOCK = "dvc.lock"
Rows = tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Provenance:
    """`index`: the data set; `settings`: by section; `header`: the comment at the top of params.yaml; `sources`: rows
    of the score table, `classes`: of its table by class; `labels`: whose the imported labels are that a student learned
    from. None or empty: unknown, and `gap` says why; without a gap, empty `sources` are those of no photo with a mask.
    """

    index: Index | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    header: str = ""
    sources: Rows = ()
    classes: Rows = ()
    gap: str = ""
    labels: str = ""


def find_provenance(model: Path, card: NetworkCard, dataset: Path | None = None) -> Provenance:
    """Of the network in the file `model`. `dataset`: its index, if that is not the folder ``dataset`` beside the file.

    An index that is given, or found without a lock, counts if it has the network's classes and sizes of photos.
    """
    root = next((folder for folder in model.absolute().parents[:2] if (folder / LOCK).is_file()), None)
    if root is None:
        return Provenance(_index(model, card, dataset), gap=f"no {LOCK} beside it")
    try:
        outputs = {output.path.resolve(): output for output in read_lock(root / LOCK)}
        own = outputs.get(model.resolve())
        if own is None or file_md5(model) != own.md5:
            return Provenance(_index(model, card, dataset), gap=f"it is not the file that {LOCK} lists")
        newer = newer_stage(root / LOCK, own.path.relative_to(root).as_posix())
        settings = {} if newer else read_settings(root / LOCK)  # else they are of a later run, in part
    except WsssError as error:
        return Provenance(_index(model, card, dataset), gap=f"{error.where}: {error.what}")

    def locked(path: Path) -> bool:
        output = outputs.get(path.resolve())
        return output is not None and path.exists() and content_md5(path) == output.md5

    tables = [root / "reports" / name for name in ("sources.csv", "classes.csv")]
    sources, classes = (_rows(path) if locked(path) else () for path in tables)
    index = _index(model, card, dataset)
    gap = f"its stage {newer} has run again since" if newer else "" if settings else f"{LOCK} lists no settings"
    gap = gap or ("" if all(map(locked, tables)) else "the tables in reports/ are of another run")
    header = _header(root / "params.yaml", settings) if settings else ""
    labels = _labels(root, settings) if locked(root / RelabelledStore.place) else ""
    return Provenance(index, settings, header, sources, classes, gap, labels)


def _index(model: Path, card: NetworkCard, dataset: Path | None) -> Index | None:
    """The data set that `card` fits, else None. Raises what `read_index` does for one that was given."""
    folder = dataset or model.absolute().parent / "dataset"
    if dataset is None and not (folder / "index.csv").is_file():
        return None
    index = read_index(folder)
    return index if index.classes == card.classes and card.sizes in (None, index.sizes) else None


def _labels(root: Path, settings: Mapping[str, Any]) -> str:
    """``2 photos corrected by hand, 3 photos by otsu`` of the folder that `settings` name, if those labels are in it
    which stage `distill` has noted; else empty.
    """
    place = root / str(settings.get("distill", {}).get("labels", ""))
    with suppress(OSError, WsssError):
        noted = RelabelledStore(root / RelabelledStore.place).attributes.get(LABELS_SHA)
        if noted and hash_input(place) == noted:
            return whose_text(PseudoStore(place).attributes)
    return ""


def _header(params: Path, settings: Mapping[str, Any]) -> str:
    """The comment at the top of `params`, if that is still the file of these settings."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = params.read_text(encoding="utf-8")
        now = YAML(typ="safe").load(text)
    except (OSError, ValueError, YAMLError):
        return ""
    if not isinstance(now, dict) or any(now.get(name) != section for name, section in settings.items()):
        return ""
    lines = re.match(r"(?:#.*\n)*", text)
    found = [line for line in (lines[0] if lines else "").splitlines() if line != SCHEMA]
    return "\n".join(line.lstrip("# ").rstrip() for line in found)


def _rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as handle:
        return tuple(csv.DictReader(handle))
