"""What `dvc.lock` says of a pipeline's outputs, and whether the bytes on disk, and in DVC's cache, still agree.

DVC itself trusts time stamps, and where its cache shares files with the workspace (hard links, symbolic links) an edit
in place changes both: it then says "up to date". Here every byte is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from wsss.core.errors import IntegrityError, UserError
from wsss.core.folders import STORE_INDEX
from wsss.core.kept_by_git import kept_by_git

CACHE = Path(".dvc/cache/files/md5")
"""Where DVC keeps the contents of files by their md5, unless it is told otherwise."""
READ = 1 << 26
"""Bytes of a store that are read to compare it; of a larger one only the index."""
UNCACHED = "DVC's cache does not have it"


@dataclass(frozen=True)
class Output:
    """One output of a stage: a file, or a folder whose md5 ends in `.dir`."""

    stage: str
    path: Path
    md5: str


@dataclass(frozen=True)
class Making:
    """How a stage made an `output`: its `inputs`, code among them, by path with their md5, those of them that stages
    `made`, as the lock has them now, and its `settings` by section.
    """

    output: Output
    inputs: dict[Path, str]
    made: dict[Path, Output]
    settings: dict[str, Any]


def read_makings(lock: Path, path: Path) -> list[Making]:
    """How the output was made that is `path`, or holds it; then how its inputs were, and theirs, the nearest first: one
    for each stage. An input whose stage has run since then ends the line. Empty if `lock` lists no such output. Errors
    as for `read_lock`.
    """
    stages = read_stages(lock)
    with _understood(lock):
        outputs = {one.path: one for one in _outputs(stages, lock.parent)}
        first = next((one for one in outputs.values() if path.resolve().is_relative_to(one.path.resolve())), None)
        wanted = {} if first is None else {first.stage: first}
        found = []
        for stage in reversed(stages):
            if stage in wanted:
                found.append(_making(wanted[stage], stages[stage], outputs, lock.parent))
                same = (one for place, one in found[-1].made.items() if one.md5 == found[-1].inputs[place])
                wanted = {one.stage: one for one in same} | wanted
    return found


def _making(output: Output, entry: dict[str, Any], outputs: dict[Path, Output], root: Path) -> Making:
    inputs = {root / str(dep["path"]): str(dep["md5"]) for dep in entry.get("deps", [])}
    settings = {name: part for file in entry.get("params", {}).values() for name, part in file.items()}
    return Making(output, inputs, {place: outputs[place] for place in inputs if place in outputs}, settings)


def is_as_listed(output: Output, cache: Path) -> bool:
    """Whether what lies at the path of `output` has its md5. A store of more than `READ` bytes is judged by its index,
    which has the checksums of its shards. Where `cache` does not have the list of its files, every byte is read.
    """
    if is_judged_by_index(output, cache):
        listing = _cached_listing(output, cache)
        return isinstance(listing, dict) and listing.get(STORE_INDEX) == file_md5(output.path / STORE_INDEX)
    return content_md5(output.path) == output.md5


def is_judged_by_index(output: Output, cache: Path) -> bool:
    """Whether `is_as_listed` reads no shard of it."""
    if not (output.path / STORE_INDEX).is_file() or not isinstance(_cached_listing(output, cache), dict):
        return False
    return sum(file.stat().st_size for file in _files(output.path)) > READ


def read_lock(path: Path) -> list[Output]:
    """All outputs in `dvc.lock`. Raises `IntegrityError` if the file cannot be understood."""
    with _understood(path):
        return _outputs(_stages(path), path.parent)


def damages(output: Output, cache: Path) -> Iterator[IntegrityError]:
    """Everything that is not as `dvc.lock` says: in the workspace, and in the `cache` (its folder ``files/md5``)."""
    listing = None
    if output.md5.endswith(".dir"):
        found = _cached_listing(output, cache)
        if isinstance(found, IntegrityError):
            yield found
        else:
            listing = found
    broken = list(_broken_objects(output, listing, cache))
    yield from broken
    if not output.path.exists():
        return
    again = f"make it again: dvc repro -f -s {output.stage}"
    back = restored_by(output, cache)
    fix = again if broken else f"restore it: {back}; or {again}" if back else f"{again} ({UNCACHED})"
    if listing is None:
        if content_md5(output.path) != output.md5:
            yield IntegrityError(output.path, "differs from dvc.lock (edited in place, or damaged)", fix)
        return
    present = {file.relative_to(output.path).as_posix(): file for file in _files(output.path)}
    for name, md5 in listing.items():
        if name not in present:
            yield IntegrityError(output.path / name, "is missing, but dvc.lock has it", fix)
        elif file_md5(present[name]) != md5:
            yield IntegrityError(output.path / name, "differs from dvc.lock (edited in place, or damaged)", fix)
    for name in sorted(set(present) - set(listing)):
        yield IntegrityError(output.path / name, "is not in dvc.lock", f"delete it; or {again}")


def cached_copies(output: Output, cache: Path) -> dict[Path, Path] | None:
    """Each file of an output and the object of the `cache` that holds it, whether it is there or not.

    None if the cache does not even hold the list of the folder's files. Raises `IntegrityError` for a damaged list.
    """
    if not output.md5.endswith(".dir"):
        return {output.path: _object(cache, output.md5)}
    listing = _cached_listing(output, cache)
    if isinstance(listing, IntegrityError):
        raise listing
    return None if listing is None else {output.path / name: _object(cache, md5) for name, md5 in listing.items()}


def is_cached(output: Output, cache: Path) -> bool:
    """Whether `cache` has all of it, so that DVC can restore it. Reads no file but the list of a folder's files."""
    try:
        copies = cached_copies(output, cache)
    except IntegrityError:
        return False
    return copies is not None and all(copy.is_file() for copy in copies.values())


def restored_by(output: Output, cache: Path) -> str:
    """The command that brings back what `dvc.lock` lists; empty if there is none."""
    if kept_by_git(output.path):
        return f"git checkout {output.path}"
    return f"dvc checkout --force {output.path}" if is_cached(output, cache) else ""


def read_settings(path: Path) -> dict[str, Any]:
    """The settings by section that `dvc.lock` says its results were made with. Errors as for `read_lock`.

    A lock can hold stages of several runs: `dvc repro correct` renews those up to `correct` and no later one. So where
    stages disagree, the first that reads a section is right. A stage that nothing else reads from comes last: the
    gallery, which shows settings of all stages, and the demo where the photos are others.
    """
    stages = read_stages(path)
    read = {str(dep["path"]) for entry in stages.values() for dep in entry.get("deps", [])}
    with _understood(path):
        used = [entry for entry in stages.values() if any(str(out["path"]) in read for out in entry.get("outs", []))]
        settings: dict[str, Any] = {}
        for entry in (*used, *stages.values()):
            for sections in entry.get("params", {}).values():
                settings = {**sections, **settings}
    return settings


def read_stages(path: Path) -> dict[str, Any]:
    """What `dvc.lock` holds of each stage, by name, each after those that it reads from. Errors as for `read_lock`."""
    with _understood(path):
        stages = _stages(path)
        makers = {output.path: output.stage for output in _outputs(stages, path.parent)}
        reads = {
            stage: [makers[file] for dep in entry.get("deps", []) if (file := path.parent / str(dep["path"])) in makers]
            for stage, entry in stages.items()
        }
        return {stage: stages[stage] for stage in TopologicalSorter(reads).static_order()}


def content_md5(path: Path) -> str:
    """The md5 that DVC gives a file, or a folder: that of the sorted list of its files' md5s, and `.dir`."""
    if not path.is_dir():
        return file_md5(path)
    entries = [{"md5": file_md5(file), "relpath": file.relative_to(path).as_posix()} for file in _files(path)]
    text = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def file_md5(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn whatever a file that is none raises into a message."""
    from ruamel.yaml.error import YAMLError

    fix = f"restore {path} from git, or make it again: dvc repro"
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(path, f"cannot be read ({error})", fix) from error
    except (YAMLError, KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise IntegrityError(path, f"not a lock file of DVC ({type(error).__name__})", fix) from error


def _stages(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    return dict(YAML(typ="safe").load(path.read_text(encoding="utf-8"))["stages"])


def _outputs(stages: dict[str, Any], root: Path) -> list[Output]:
    return [
        Output(str(stage), root / str(out["path"]), str(out["md5"]))
        for stage, entry in stages.items()
        for out in entry.get("outs", [])
    ]


def _cached_listing(output: Output, cache: Path) -> dict[str, str] | IntegrityError | None:
    """Files of a folder and their md5s as the cache lists them; None if it does not hold the list."""
    path = _object(cache, output.md5)
    if not path.is_file():
        return None
    data = path.read_bytes()
    fix = f"delete {path}, then: dvc repro -f -s {output.stage}"
    if hashlib.md5(data, usedforsecurity=False).hexdigest() + ".dir" != output.md5:
        return IntegrityError(path, f"cached list of {output.path} differs from its name (edited, or damaged)", fix)
    entries: Any = json.loads(data)  # the bytes are those that DVC wrote
    return {str(entry["relpath"]): str(entry["md5"]) for entry in entries}


def _broken_objects(output: Output, listing: dict[str, str] | None, cache: Path) -> Iterator[IntegrityError]:
    named = {output.path / name: md5 for name, md5 in (listing or {}).items()}
    if not output.md5.endswith(".dir"):
        named = {output.path: output.md5}
    for path, md5 in named.items():
        copy = _object(cache, md5)
        if copy.is_file() and file_md5(copy) != md5:
            what = f"cached copy of {path} differs from its name (edited in place, or damaged)"
            yield IntegrityError(copy, what, f"delete {copy} and {path}, then: dvc repro -f -s {output.stage}")


def _object(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _files(folder: Path) -> list[Path]:
    """All but those that .dvcignore names."""
    return sorted(p for p in folder.rglob("*") if "__pycache__" not in p.relative_to(folder).parts and p.is_file())
