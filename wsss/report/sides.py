"""The two runs that are compared: a folder, or a revision of this repository whose files lie in DVC's cache."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import Any

from wsss.core.errors import IntegrityError, UserError, did_you_mean
from wsss.core.locked_files import cached_copies, read_lock, read_settings
from wsss.core.locked_stages import code_of, newer_stage
from wsss.data.index import Index, read_index
from wsss.data.masks import read_mask_checksums
from wsss.models.checkpoint import FORMAT, VERSION, read_checkpoint
from wsss.stores.labels import PredictionStore, PseudoStore

LOCK, SCORES = "dvc.lock", "reports/sources.csv"
DATASET, PSEUDO, PREDICTIONS = "artifacts/dataset", "artifacts/pseudo", "artifacts/predictions"
NETWORKS = {"pretrain": "artifacts/backbone.pt", "train": "artifacts/oste.pt", "distill": "artifacts/student.pt"}
"""By section, the file that says in which precision its network was trained."""
CAMS, MASKS = "artifacts/cams/index.json", "artifacts/masks.csv"
AUTO, UNRECORDED = "auto", "not recorded"
HERE, SHORT = "the working tree", 7
"""What the present folder is called; digits of a commit that are shown."""
SCORE_COLUMNS = ("source", "split", "images", "miou")


@dataclass(frozen=True)
class Side:
    """A finished run: what it is called, its photos, label maps and scores.

    `title`: which run that is, in words: of a revision with its commit, of the present folder "the working tree".
    `settings`: those of `with_precision`, by section; `root`: where they say the photos lie; `scores`: mIoU in [0, 1]
    or None, and the number of photos, by source and split; `code`: of each stage, md5 by path, where a lock lists it.
    `newer`: the stage that ran after `predictions` were made, if one did: then they are of an earlier run, and there
    are no `scores` and `labels`. `labels`: of sources that leave pixels ignored, mIoU of labelled pixels only and
    coverage. `checksums`: of the masks, by photo, as they were indexed, where that is kept.
    """

    name: str
    index: Index
    pseudo: PseudoStore
    predictions: PredictionStore
    scores: Mapping[tuple[str, str], tuple[float | None, int]]
    settings: Mapping[str, Any]
    root: Path | None
    code: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    newer: str | None = None
    labels: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    title: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_sides(*names: str) -> Iterator[list[Side]]:
    """Open runs by folder, or else by revision: a branch, tag, commit or experiment."""
    with ExitStack() as stack:
        yield [stack.enter_context(_open_side(name)) for name in names]


@contextmanager
def _open_side(name: str) -> Iterator[Side]:
    folder = Path(name)
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(prefix="wsss-compare-") as temporary:
            base, commit = link_revision(name, Path(temporary))
            yield replace(read_side(name, Path(temporary), base), title=revision_title(name, commit))
        return
    if not (folder / "artifacts").is_dir() or not (folder / "reports").is_dir():
        what = "has no artifacts/ and reports/, so it is not the folder of a finished run"
        raise UserError(folder, what, "give the folder of a checkout after dvc repro, or a revision")
    yield replace(read_side(name, folder, folder), title=HERE if folder.resolve() == Path.cwd() else name)


def revision_title(name: str, commit: str) -> str:
    """``commit HEAD (cc04557)``, ``main (cc04557)``, or of a commit's own checksum ``commit cc04557``."""
    short = commit[:SHORT]
    if commit.startswith(name):
        return f"commit {short}"
    return f"{'commit ' if name.startswith('HEAD') else ''}{name} ({short})"


def read_side(name: str, folder: Path, base: Path) -> Side:
    """Read the run in `folder`; the paths of its settings are relative to `base`."""
    index = read_index(folder / DATASET)
    stores = PseudoStore(folder / PSEUDO), PredictionStore(folder / PREDICTIONS)
    for store in stores:
        store.expect_classes(index.classes)
    settings = with_precision(run_settings(folder), folder)
    root = settings.get("dataset", {}).get("root")
    place = None if root is None else base / root
    masks = read_mask_checksums(folder / MASKS) if (folder / MASKS).is_file() else {}
    if not (folder / LOCK).is_file():
        scores, labels = read_scores(folder / SCORES), read_label_scores(folder / SCORES)
        return Side(name, index, *stores, scores, settings, place, labels=labels, checksums=masks)
    if newer := newer_stage(folder / LOCK, PSEUDO):
        what = f"its stage {newer} is newer than its pseudo-labels and predictions: they are of other settings"
        raise UserError(name, what, "run it to its end: dvc repro")
    newer = newer_stage(folder / LOCK, PREDICTIONS)
    scores = {} if newer else read_scores(folder / SCORES)
    labels = {} if newer else read_label_scores(folder / SCORES)
    code = code_of(folder / LOCK, PREDICTIONS)
    return Side(name, index, *stores, scores, settings, place, code, newer, labels, checksums=masks)


def with_precision(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`settings` with the precision that networks and CAMs in `folder` say; `UNRECORDED` where they say none."""
    found = dict(settings)
    for section, name in NETWORKS.items():
        card = read_checkpoint(folder / name, FORMAT, VERSION) if (folder / name).is_file() else {}
        _note(found, [section, "optim"], card.get("precision"))
    said = json.loads((folder / CAMS).read_text(encoding="utf-8")) if (folder / CAMS).is_file() else {}
    _note(found, ["cams"], said.get("precision"))
    return found


def _note(settings: dict[str, Any], keys: list[str], used: str | None) -> None:
    """Put the precision `used`, if it is known, into the part of `settings` below `keys`, which is copied for that."""
    part = settings
    for key in keys:
        inner = part.get(key)
        if used is None and not isinstance(inner, (Mapping, NoneType)):  # off, for example
            return
        part[key] = part = dict(inner or {})
    if used is not None or part.get("precision", AUTO) == AUTO:
        part["precision"] = used or UNRECORDED


def link_revision(name: str, folder: Path) -> tuple[Path, str]:
    """Lay out in `folder` what a comparison reads of revision `name`, as links into DVC's cache; the project's folder,
    and the checksum of the commit.

    Raises `UserError` for a revision that is unknown, that never ran to its end, or whose files are not in the cache.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import NoSCM, RevError, resolve_rev

    try:
        repo = Repo()
    except NotDvcRepoError as error:
        what = "no such folder, and no revision either: this is not in a DVC repository"
        raise UserError(name, what, "correct the folder, or change to the repository") from error
    with repo:
        if isinstance(repo.scm, NoSCM):
            what = "no such folder, and no revision either: this repository is without git"
            raise UserError(name, what, "correct the folder, or run: git init, git commit")
        try:
            commit = resolve_rev(repo.scm, name)
        except RevError as error:
            what = f"neither a folder nor a branch, tag, commit or experiment{did_you_mean(name, _revisions(repo))}"
            raise UserError(name, what, "see git branch, git tag, git log, dvc exp list") from error
        lock = Path(repo.root_dir).relative_to(repo.scm.root_dir) / LOCK
        try:
            text = repo.scm.get_fs(commit).cat_file(lock.as_posix())
        except FileNotFoundError as error:
            what = f"has no {LOCK}: the pipeline had not run when it was committed"
            raise UserError(name, what, f"commit what has run: {_again(name)}") from error
        (folder / LOCK).write_bytes(text)
        _link(name, folder, Path(repo.cache.local.path))
        return Path(repo.root_dir), str(commit)


def read_scores(path: Path) -> dict[tuple[str, str], tuple[float | None, int]]:
    """mIoU (None where there is none) and number of photos by (source, split).

    Of `sources.csv` only the columns are read that every version has had: runs of two versions can be compared.
    """
    fix = "run the stage that writes it: dvc repro evaluate"
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = csv.DictReader(handle)
            missing = set(SCORE_COLUMNS) - set(rows.fieldnames or ())
            if missing:
                raise ValueError(f"no column {', '.join(sorted(missing))}")
            return {(row["source"], row["split"]): (_score(row["miou"]), int(row["images"])) for row in rows}
    except FileNotFoundError as error:
        raise UserError(path, "no such file", fix) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise IntegrityError(path, f"is not the table of scores ({error})", fix) from error


def read_label_scores(path: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """mIoU of labelled pixels only and coverage, by (source, split), of sources that leave pixels ignored.

    Nothing of a table that has no such columns. `read_scores` has found the table to be one.
    """
    with path.open(encoding="utf-8", newline="") as handle:
        rows = [
            (row, _score(row.get("miou_labelled") or ""), _score(row.get("coverage") or ""))
            for row in csv.DictReader(handle)
        ]
    known = [(row, miou, covered) for row, miou, covered in rows if miou is not None and covered is not None]
    return {(row["source"], row["split"]): (miou, covered) for row, miou, covered in known if covered < 1}


def _link(name: str, folder: Path, cache: Path) -> None:
    outputs = {output.path: output for output in read_lock(folder / LOCK)}
    for wanted in (DATASET, PSEUDO, PREDICTIONS, SCORES):
        if folder / wanted not in outputs:
            what = f"its {LOCK} has no {wanted}: the pipeline had not run to its end"
            raise UserError(name, what, f"run it to its end and commit it: {_again(name)}")
        copies = cached_copies(outputs[folder / wanted], cache)
        if copies is None or not all(copy.is_file() for copy in copies.values()):
            what = f"{wanted} of this revision is not in DVC's cache ({cache})"
            fix = (
                f"after a fresh make repro commit your own run first; against the scores of {name}: dvc metrics diff "
                f"{name}; or make its files again: {_again(name)}; or, with a DVC remote: dvc pull"
            )
            raise UserError(name, what, fix)
        _link_copies(copies)
    # These only say a precision, or which masks were indexed, if the cache has them.
    for path in map(Path, (*NETWORKS.values(), CAMS, MASKS)):
        output = next((outputs[folder / each] for each in (path, path.parent) if folder / each in outputs), None)
        copies = {} if output is None else cached_copies(output, cache) or {}
        _link_copies({name: copy for name, copy in copies.items() if name == folder / path and copy.is_file()})


def _link_copies(copies: Mapping[Path, Path]) -> None:
    for path, copy in copies.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(copy)


def _again(name: str) -> str:
    return f"git checkout {name} (an experiment: dvc exp apply {name}), dvc repro, git add dvc.lock, git commit"


def _revisions(repo: Any) -> list[str]:
    from dvc.repo.experiments.utils import exp_refs

    return [*repo.scm.list_branches(), *repo.scm.list_tags(), *(str(ref.name) for ref in exp_refs(repo.scm))]


def run_settings(folder: Path) -> dict[str, Any]:
    """What the stages ran with; without dvc.lock, what params.yaml says now."""
    if (folder / LOCK).is_file():
        return read_settings(folder / LOCK)
    path = folder / "params.yaml"
    if not path.is_file():
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return dict(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except (YAMLError, TypeError, ValueError) as error:
        raise UserError(path, f"not a file of settings ({type(error).__name__})", "mend or delete it") from error


def _score(text: str) -> float | None:
    return None if text in ("", "nan") else float(text)
