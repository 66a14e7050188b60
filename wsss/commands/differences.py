"""What is not as `dvc.lock` says, a message an output: damage, or the work of a stage that was run without DVC.

Stores, networks and marked folders have checksums of their own. Where these agree, nothing is damaged: it is `dvc.lock`
that is older.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss.core.errors import IntegrityError
from wsss.core.folders import MARK, STORE_INDEX, marked
from wsss.core.locked_files import UNCACHED, Output, damages, restored_by
from wsss.formats.problems import some

LOCK = "dvc.lock"
SHARD = ".h5"
NAMED = 3
"""Changed files of code that are named; the rest are counted."""
MADE = ("artifacts", "reports")
"""Folders of what stages make; others, such as ``data``, are a person's, too."""
OTHER, GONE, FOREIGN = "differs from dvc.lock", "is missing", "is not in dvc.lock"
"""How the messages of `damages` begin."""


def differences(outputs: Sequence[Output], root: Path, cache: Path) -> list[IntegrityError]:
    """All that `damages` finds in the outputs of the checkout `root`, with one message for the files of an output."""
    found = {output: list(damages(output, cache)) for output in outputs}
    inside = {output: [error for error in errors if _within(error, output)] for output, errors in found.items()}
    sound = {output for output, errors in inside.items() if errors and _sound(output.path, errors)}
    without_dvc = {output.stage for output in sound}
    told: list[IntegrityError] = []
    for output, errors in found.items():
        told += [error for error in errors if error not in inside[output]]  # of the cache
        if not inside[output]:
            continue
        damaged_cache = len(inside[output]) < len(errors)
        if output in sound:
            what = f"agrees with its own checksums, but {_counts(inside[output], output)}"
            told.append(_older(output, what, root, cache))
        elif output.stage in without_dvc and not has_own_checksums(output.path) and _made(output, root):
            others = "as do outputs of the same stage that agree with their own checksums"
            told.append(_older(output, f"{_counts(inside[output], output)}, {others}", root, cache))
        else:
            told.append(_together(inside[output], output, _made(output, root), damaged_cache))
    return told


def has_own_checksums(path: Path) -> bool:
    """True of stores and single shards of one, folders that wsss has marked, and files of networks."""
    return path.suffix in (".pt", SHARD) or any((path / name).is_file() for name in (STORE_INDEX, MARK))


def own_errors(path: Path) -> list[IntegrityError]:
    """What in `path`, which `has_own_checksums`, is not as these say."""
    from wsss.stores.verify import verify_shard, verify_store, verify_zip

    if path.suffix == ".pt":
        return verify_zip(path)
    if path.suffix == SHARD:
        return verify_shard(path)
    if (path / STORE_INDEX).is_file():
        return list(verify_store(path))
    try:
        marked(path, f"copy {path} again, or make it again")
    except IntegrityError as error:
        return [error]
    return []


def altered(outputs: Sequence[Output], errors: Sequence[IntegrityError]) -> list[Output]:
    """Those of `outputs` that any of the `errors` is of, and that are not as their own checksums say."""
    wrong = [output for output in outputs if any(_within(error, output) for error in errors)]
    return [output for output in wrong if has_own_checksums(output.path) and own_errors(output.path)]


def _sound(path: Path, errors: Sequence[IntegrityError]) -> bool:
    """Whether `path` is as its own checksums say; a store that holds a file which is no shard is not."""
    if not has_own_checksums(path) or own_errors(path):
        return False
    foreign = [Path(error.where) for error in errors if error.what.startswith(FOREIGN)]
    return (path / MARK).is_file() or all(file.suffix == SHARD for file in foreign)


def _within(error: IntegrityError, output: Output) -> bool:
    return Path(error.where).is_relative_to(output.path)


def _made(output: Output, root: Path) -> bool:
    return any(output.path.is_relative_to(root / folder) for folder in MADE)


def _counts(errors: Sequence[IntegrityError], output: Output) -> str:
    """``differs from dvc.lock``, or how many of its files do, are missing, or are not in it."""
    if errors[0].where == str(output.path):
        return OTHER
    numbers = {kind: sum(error.what.startswith(kind) for error in errors) for kind in (OTHER, GONE, FOREIGN)}
    texts = {OTHER: "differ from dvc.lock", GONE: "are missing", FOREIGN: "are not in dvc.lock"}
    listed = ", ".join(f"{number} {texts[kind]}" for kind, number in numbers.items() if number)
    return f"of its files {listed} (first {Path(errors[0].where).relative_to(output.path).as_posix()})"


def _older(output: Output, what: str, root: Path, cache: Path) -> IntegrityError:
    from wsss.report.lineage import changed_code

    code = changed_code(root, output.path)
    if code:  # DVC's copy would be of the old code
        what += f"; the code of stage {output.stage} is another one now than {LOCK} has ({some(code, NAMED)})"
        back = f"make it by this code: dvc repro {output.stage}"
    elif command := restored_by(output, cache):
        back = f"restore it: {command}"
    else:
        back = f"make it again: dvc repro {output.stage} ({UNCACHED} as {LOCK} lists it)"
    return IntegrityError(output.path, what, f"{back}; {_commit(output)}")


def _commit(output: Output) -> str:
    """What makes lawful what is there: the last thing to try, and only of what a stage has made."""
    return f"or, only if stage {output.stage} was run without DVC, keep it: dvc commit {output.stage}"


def _together(errors: Sequence[IntegrityError], output: Output, made: bool, damaged_cache: bool) -> IntegrityError:
    """One message for the files of an output. What is not in dvc.lock may be a person's: it is never to be deleted."""
    from wsss.stores.verify import photos_of

    first, fix = errors[0], errors[0].fix
    foreign = [error for error in errors if error.what.startswith(FOREIGN)]
    if len(foreign) == len(errors):
        fix = "move it elsewhere"
    elif foreign:
        fix = f"move what is yours out of {output.path}, then {fix}"
    if not damaged_cache and (foreign or not has_own_checksums(output.path)):
        meant = f"if that is meant: dvc commit {output.stage}; else {fix}"  # a person's, which a checkout would undo
        fix = f"{fix}; {_commit(output)}" if made and not foreign else meant
    damaged = [Path(error.where) for error in errors if not error.what.startswith(FOREIGN)]
    if damaged == [output.path] and (output.path / STORE_INDEX).is_file():
        damaged = [Path(error.where) for error in own_errors(output.path)]
    photos = photos_of(damaged)
    of = f" ({photos})" if photos else ""
    if len(errors) == 1:
        return IntegrityError(first.where, first.what + of, fix)
    return IntegrityError(output.path, f"{_counts(errors, output)}: edited in place, or damaged{of}", fix)
