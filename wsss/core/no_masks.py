"""No training and no label-making reads a mask: while such a stage runs, to open one that the index knows is an error.

An audit hook of Python sees each file that Python opens in the stage's process and in those that work for it. It does
not see what a C library opens by itself, nor what another program does. Hooks cannot be taken away: this one does
nothing once its stage has ended.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from wsss.core.errors import IntegrityError
from wsss.core.settings_file import read_settings

STAGES = ("pretrain", "train", "cams", "correct", "distill")
"""Those that train or make labels."""
TABLE = "index.csv"
TOLD = "WSSS_NO_MASKS"
"""Variable by which the processes that a stage starts know what they may not open, however they are started."""
FIX = (
    "take that out of the code (--debug shows where it is): only evaluate and gallery may read masks; for labels made "
    "of masks, as an upper bound: wsss labels import-masks"
)


@dataclass(frozen=True)
class Closed:
    """What `stage` may not open: the masks that `table` names, below folder `base`, and the files `others`."""

    stage: str
    table: str
    base: str
    others: tuple[str, ...] = ()

    def files(self) -> set[str]:
        """All these. A photo that is its own mask may be opened."""
        masks, photos = set(self.others), set()
        with Path(self.table).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                image, mask = (row[name].removeprefix("'") for name in ("image", "mask"))
                photos.add(f"{self.base}/{image}")
                if mask:
                    masks.add(f"{self.base}/{mask}")
        return masks - photos


def _places_of(files: set[str]) -> dict[str, list[str]]:
    """Real folders of the `files`, by the files' names."""
    inside: dict[str, set[str]] = {}
    for path in files:
        folder, name = os.path.split(path)
        inside.setdefault(folder, set()).add(name)
    found: dict[str, list[str]] = {}
    for folder, names in inside.items():
        real = os.path.realpath(folder)
        for name in names:
            found.setdefault(name, []).append(real)
        for target in _targets(real, names):
            at, name = os.path.split(target)
            found.setdefault(name, []).append(at)
    return found


def _targets(folder: str, names: set[str]) -> Iterator[str]:
    """Where those of `names` lead that are links, as of a data set in a cache."""
    with suppress(OSError), os.scandir(folder) as entries:  # it may be gone, or nobody may read it
        yield from (os.path.realpath(entry) for entry in entries if entry.name in names and entry.is_symlink())


_stage = ""
_places: Mapping[str, Sequence[str]] = {}
"""What this process may not open now, and for which stage."""
_hooked = False


@contextmanager
def without_masks(stage: str, inputs: Sequence[Path]) -> Iterator[int | None]:
    """While inside, a mask that is opened raises `IntegrityError`, if `stage` is one that may not open any. Gives how
    many files are closed; None if no guard stands.

    The masks are those of the index among `inputs`; where the data set lies, the settings of the running command say.
    Without a command, as where a test opens a stage by itself, nothing is closed.
    """
    table = next((path / TABLE for path in inputs if stage in STAGES and (path / TABLE).is_file()), None)
    context = click.get_current_context(silent=True)
    if table is None or context is None:
        yield None
        return
    dataset = read_settings(context.params["params"])["dataset"]
    base = Path(dataset["root"]).absolute()
    closed = Closed(stage, str(table.absolute()), str(base), tuple(_lists(base, dataset)))
    count = _close(closed)
    os.environ[TOLD] = json.dumps(asdict(closed))
    try:
        yield count
    finally:
        _open()
        os.environ.pop(TOLD, None)


def told() -> str:
    """What a process elsewhere that works for this one is to give to `begin_without_masks`; empty: nothing."""
    return os.environ.get(TOLD, "")


def begin_without_masks(text: str) -> None:
    """What a process does before its first task. `text`: what `told` has given in the one that it works for."""
    if text:
        _close(Closed(**json.loads(text)))


def _lists(base: Path, dataset: Mapping[str, Any]) -> list[str]:
    """COCO's lists, which hold the outlines beside the tags."""
    if dataset.get("format") != "coco":
        return []
    tags = base / str(dataset.get("tags", ""))
    return [str(path) for path in (sorted(tags.glob("*.json")) if tags.is_dir() else [tags])]


def _close(closed: Closed) -> int | None:
    global _stage, _places, _hooked
    try:
        files = closed.files()
    except (OSError, ValueError, KeyError, AttributeError, csv.Error):
        return None  # a damaged table: the stage reads it next, and says what is wrong with it
    _stage, _places = closed.stage, _places_of(files)
    if _places and not _hooked:
        sys.addaudithook(_watch)
        _hooked = True
    return len(files)


def _open() -> None:
    global _places
    _places = {}


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _places or isinstance(arguments[0], int):
        return
    try:
        path = os.fsdecode(arguments[0])
        found = _is_closed(path)
    except (TypeError, ValueError, OSError):
        return  # no path: who opens it hears so
    if found:
        what = f"stage {_stage} opened a mask; training and label-making must not read masks"
        raise IntegrityError(path, what, FIX)


def _is_closed(path: str) -> bool:
    """A file is known by its name first: nothing else is looked up for most, but whether they are links."""
    places = _places  # of this moment: a thread may still read when the stage ends
    folder, name = os.path.split(path)
    if name in places and os.path.realpath(folder) in places[name]:
        return True
    if not os.path.islink(path):  # noqa: PTH114 -- at each file that is opened: `Path` would take three times as long
        return False
    folder, name = os.path.split(os.path.realpath(path))
    return folder in places.get(name, ())
