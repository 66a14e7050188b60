"""How an artifact was made: the stage, its inputs and settings, and whether the inputs are still those beside it.

`dvc.lock` says it: artifacts themselves hold their settings, and not what they were made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.core.errors import WsssError
from wsss.core.locked_files import (
    CACHE,
    Making,
    Output,
    is_as_listed,
    is_judged_by_index,
    read_lock,
    read_makings,
    read_settings,
)
from wsss.core.locked_stages import CODE, newer_stage
from wsss.core.stage import hash_input
from wsss.data.origins import LABELS_SHA
from wsss.formats.problems import some
from wsss.report.beside import changed_settings
from wsss.stores.labels import PseudoStore, RelabelledStore
from wsss.stores.whose import whose_text

LOCK, DISTILL, PSEUDO, GALLERY = "dvc.lock", "distill", "pseudo", "reports/gallery"
SAME, OTHER, ABSENT, RAW = "the same now", "another one now", "not here now", "not compared"
INDEX = "by its index the same now, its shards not read (wsss verify reads them)"
NAMED = 5
"""Changed files of code that are named; the rest are counted."""


@dataclass(frozen=True)
class Input:
    """The md5 that an input had, empty where dvc.lock does not list it, and one of `SAME`, `OTHER`, `ABSENT`; `INDEX`
    of a large store, and `RAW` where no stage of this run made it. `whose`: of labels that were imported.
    """

    md5: str
    now: str
    whose: str = ""

    def __str__(self) -> str:
        if self.whose:
            return f"{self.now}, {self.whose}"
        return f"{self.now} (md5 {self.md5[:8]}…)" if self.md5 else self.now


@dataclass(frozen=True)
class Earlier:
    """A stage further back: its `outputs` that the artifact comes from, the `inputs` and the code that are not the same
    now, or not compared; `again`: it has run since then, and nothing is known of how these outputs were made. `whose`:
    of the labels that were imported, if it has learned from some that are still the same.
    """

    outputs: list[str]
    inputs: dict[str, str]
    code: list[str]
    again: bool = False
    whose: str = ""

    def __str__(self) -> str:
        made = ", ".join(self.outputs) + (f", learned from imported labels ({self.whose})" if self.whose else "")
        if self.again:
            return f"{made}, of another run: the stage has run since then"
        if not self.inputs and not self.code:
            return f"{made}; inputs and code: {SAME}"
        inputs = ", ".join(f"{name} is {now}" for name, now in self.inputs.items()) or SAME
        return f"{made}; inputs: {inputs}; code: {_changed(self.code)}"


class _Present:
    """What lies in the folder `root` now; each path is read once."""

    def __init__(self, root: Path) -> None:
        self.root, self._known = root, dict[tuple[Path, str], str]()

    def inputs(self, making: Making) -> dict[str, Input]:
        """By name; without code."""
        files = {path: md5 for path, md5 in making.inputs.items() if not self._is_code(path)}
        raw = {path for path in files if path not in making.made and path.is_dir()}  # photos, of any number
        found = {
            self.name(path): Input(md5, RAW if path in raw else self._now(path, md5)) for path, md5 in files.items()
        }
        labels = imported(making.settings)
        if making.output.stage == DISTILL and labels:  # which no stage makes, so dvc.lock does not list it
            now = self.labels(self.root / labels)
            found[labels] = Input("", now, _whose(self.root / labels) if now == SAME else "")
        return found

    def labels(self, path: Path) -> str:
        """Of imported labels, by what stage `distill` has noted in its own store; `RAW` where that is not there."""
        if not path.exists():
            return ABSENT
        place = self.root / RelabelledStore.place
        try:
            listed = [output for output in read_lock(self.root / LOCK) if output.path == place]
            if not listed or not is_as_listed(listed[0], self.root / CACHE):
                return RAW
            noted = RelabelledStore(place).attributes.get(LABELS_SHA)
        except (OSError, WsssError):
            return RAW
        return checked(path, str(noted)) if noted else RAW

    def code(self, making: Making) -> tuple[int, list[str]]:
        """How many files and folders it is, and those that have changed."""
        code = {path: md5 for path, md5 in making.inputs.items() if self._is_code(path)}
        return len(code), [self.name(path) for path, md5 in code.items() if self._now(path, md5) != SAME]

    def name(self, path: Path) -> str:
        """From the run's folder, or the whole path where it lies elsewhere."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    def _is_code(self, path: Path) -> bool:
        return self._parts(path)[0] in CODE

    def _parts(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self.root).parts if path.is_relative_to(self.root) else path.parts

    def _now(self, path: Path, md5: str) -> str:
        if not path.exists():
            return ABSENT
        if (path, md5) not in self._known:
            listed, cache = Output("", path, md5), self.root / CACHE
            same = INDEX if is_judged_by_index(listed, cache) else SAME
            self._known[path, md5] = same if is_as_listed(listed, cache) else OTHER
        return self._known[path, md5]


def imported(settings: Mapping[str, Any]) -> str:
    """The labels that these settings, by section, let stage `distill` learn from, if they were imported; else empty."""
    labels = str((settings.get(DISTILL) or {}).get("labels", PSEUDO))
    return "" if labels == PSEUDO else labels


def learned_labels(root: Path) -> tuple[str, str]:
    """The imported labels that the student in the checkout `root` has learned from, and one of `SAME`, `OTHER`,
    `ABSENT`, `RAW`; empty if it has learned from the pipeline's own. Errors as for `read_lock`.
    """
    labels = imported(read_settings(root / LOCK))
    return (labels, _Present(root).labels(root / labels)) if labels else ("", "")


def _whose(path: Path) -> str:
    """``2 photos corrected by hand, 3 by otsu``; empty where the store does not say."""
    with suppress(OSError, WsssError):
        return whose_text(PseudoStore(path).attributes)
    return ""


def checked(path: Path, sha256: str) -> str:
    """One of `SAME`, `OTHER`, `ABSENT`, of a file, a folder or a store that had the checksum `sha256`."""
    if not path.exists():
        return ABSENT
    try:
        return SAME if hash_input(path) == sha256 else OTHER
    except (OSError, WsssError):
        return OTHER


def lineage(path: Path) -> dict[str, Any]:
    """How the artifact at `path` was made, and in short what it was made of, back to the raw data, for `wsss inspect`;
    empty if no ``dvc.lock`` above it lists it.

    Of an artifact that is not the listed one only that is said: its own inputs are unknown. Reads the bytes of the
    inputs that stages have made, of large stores only the index.
    """
    root, makings, why = _makings(path)
    if why:
        return {"lineage": {"inputs": "unknown", "why": why}}
    if not makings:
        return {}
    made, present = makings[0], _Present(root)
    count, changed = present.code(made)
    found: dict[str, Any] = {
        "stage": made.output.stage,
        **({"run": run} if (run := _run(root, makings)) else {}),
        "inputs": present.inputs(made),
        "code": f"{count} files and folders{';' if changed else ','} {_changed(changed)}",
        "settings": made.settings,
    }
    if others := changed_settings(root, made.settings):
        found["settings changed since"] = others
    before = _earlier(makings, present)
    return {"lineage": found | ({"before": before} if before else {})}


def unlisted(path: Path) -> str:
    """Why nothing is known of how the artifact at `path` was made, though ``dvc.lock`` lists its place: it was altered,
    say. Empty where it is the one that is listed, or none is.
    """
    return _makings(path)[2]


def _makings(path: Path) -> tuple[Path, list[Making], str]:
    """The folder of the ``dvc.lock`` above `path`, what that says of it, and, if it says nothing of what lies there,
    why.
    """
    root = next((folder for folder in path.absolute().parents[:3] if (folder / LOCK).is_file()), None)
    if root is None:
        return path, [], ""
    try:
        makings = read_makings(root / LOCK, path)
    except WsssError as error:  # such as of a merge that git left half done: the artifact is as good as before
        return root, [], f"{error.where}: {error.what}"
    if makings and not is_as_listed(makings[0].output, root / CACHE):
        why = f"this is not what {LOCK} lists: it was altered, or it, or {LOCK}, is of another run"
        return root, [], f"{why} (wsss verify {path})"
    return root, makings, ""


def _run(root: Path, makings: list[Making]) -> str:
    """Seed and recipe of the run as a whole, of which a stage may use neither; the recipe, which the gallery notes,
    only where the gallery is of this run.
    """
    seed = next((making.settings["seed"] for making in makings if "seed" in making.settings), None)
    gallery = read_settings(root / LOCK).get("gallery") or {}
    recipe = "" if newer_stage(root / LOCK, GALLERY) else gallery.get("recipe", "")
    return ", ".join([*([] if seed is None else [f"seed {seed}"]), *([f"recipe {recipe}"] if recipe else [])])


def changed_code(root: Path, path: Path) -> list[str]:
    """Files of code that are others now than when the output at `path` of the checkout `root` was noted in its lock."""
    makings = read_makings(root / LOCK, path)
    return _Present(root).code(makings[0])[1] if makings else []


def _earlier(makings: list[Making], present: _Present) -> dict[str, Earlier]:
    """By stage, the nearest first."""
    known = {making.output.stage: making for making in makings[1:]}
    used: dict[str, list[str]] = {stage: [] for stage in known}
    again: dict[str, list[str]] = {}
    for making in makings:
        for path, output in making.made.items():
            names = (used if output.md5 == making.inputs[path] else again).setdefault(output.stage, [])
            if present.name(path) not in names:
                names.append(present.name(path))
    found = {}
    for stage, making in known.items():
        inputs = present.inputs(making)
        changed = {name: each.now for name, each in inputs.items() if each.now != SAME}
        whose = ", ".join(filter(None, (each.whose for each in inputs.values())))
        found[stage] = Earlier(sorted(used[stage]), changed, present.code(making)[1], whose=whose)
    return found | {stage: Earlier(sorted(names), {}, [], again=True) for stage, names in again.items()}


def _changed(code: list[str]) -> str:
    return f"changed since: {some(code, NAMED)}" if code else SAME
