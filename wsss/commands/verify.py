"""`wsss verify`: are the artifacts still the bytes that the stages wrote?"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from wsss.commands.differences import altered, differences, has_own_checksums, own_errors
from wsss.core.command import json_option, json_text, people_command, show
from wsss.core.errors import IntegrityError, UserError
from wsss.core.locked_files import CACHE, Output, read_lock
from wsss.core.missing import similar
from wsss.core.words import counted
from wsss.formats.problems import some
from wsss.predict.written import MASKS, is_filled

SCORES = "reports/sources.csv"
LOCK = "dvc.lock"
ARTIFACTS = "artifacts"
UNSEEN = "not looked at: whether settings, code or data have changed since (dvc status tells)"


@people_command
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[PATH]")
@click.option("--recount", is_flag=True, help="count the scores of PATH, a whole run, again, and compare its tables")
@json_option
def main(folder: Path, recount: bool, as_json: bool) -> str:
    """Read every byte of the artifacts in PATH, a checkout, and compare it with dvc.lock and with their checksums. Or
    of one part: PATH is a folder or a file in the checkout, such as artifacts/pseudo or reports, whose dvc.lock is
    looked for above it; or, anywhere, what has checksums of its own, as stores, single shards and networks have, a
    package that wsss export has made, or a folder of wsss predict.

    Finds files that were edited in place, also where DVC says "up to date", cut shards and flipped bits.
    Exit code 4 if there is any. An output that is not there at all is none of these: dvc repro makes it. dvc
    status tells whether settings, code or data have changed since. Also says what this machine has noted of who made
    the artifacts, and to which stages masks were closed.

    Whoever edits a table can also have dvc.lock say so. With --recount the scores of CAMs, labels and predictions are
    counted again from the stores and the masks, by what stage evaluate counts with, and compared with the tables of
    reports, row by row. Exit code 4 where they differ by more than 0.0001. Needs the masks; no network is run.
    """
    from wsss.predict.package import is_package

    if not folder.exists():
        raise UserError(folder, f"no such file or folder{similar(folder)}", "give the folder of dvc.yaml, or a store")
    if recount and not (folder / SCORES).is_file():
        raise UserError(folder, f"--recount is of a whole run, and there is no {SCORES} here", "give the run's folder")
    if folder.is_dir() and is_package(folder):
        return _package(folder, as_json)
    if is_filled(folder):
        return _predicted(folder, as_json)
    root, outputs = _listed(folder)
    whole = (folder / LOCK).is_file()
    if not whole and (folder.is_file() or has_own_checksums(folder) or any(_within(folder, out) for out in outputs)):
        return _one(folder, root, outputs, as_json)
    return _many(folder, root, outputs, recount, as_json)


def _many(folder: Path, root: Path, outputs: list[Output], recount: bool, as_json: bool) -> str:
    """Of a checkout, or a folder in it: the `outputs` of the dvc.lock in `root` that lie there, and all that has its
    own checksums; with `recount`, also its scores.
    """
    from wsss.report.lineage import ABSENT, OTHER, learned_labels
    from wsss.report.made import again_lines, made_lines, made_of, stranger_lines, strangers
    from wsss.stores.verify import verify_folder

    whole, locked = (folder / LOCK).is_file(), (root / LOCK).is_file()
    errors = differences(outputs, root, cache_folder(root))
    own, found = verify_folder(folder / ARTIFACTS if whole or (folder / ARTIFACTS).is_dir() else folder)
    if not outputs and not own:
        what = f"no output of {root / LOCK}" if locked else f"no {LOCK}"
        fix = "run dvc repro, or give its folder"
        raise UserError(folder, f"nothing to verify: {what} and no artifacts", fix)
    told = [Path(error.where) for error in errors]
    # One file, one message.
    errors += [e for e in found if not any(Path(e.where).is_relative_to(path) for path in told)]
    scores, lines = _recounted(folder, errors) if recount else ({}, [])
    absent = [str(output.path) for output in outputs if not output.path.exists()]
    there = [output for output in outputs if output.path.exists()]
    made = bool(own) or any(output.path.is_relative_to(root / ARTIFACTS) or not whole for output in there)
    labels, state = learned_labels(root) if outputs else ("", "")
    if not _is_in(root / labels, folder):
        state = ""
    imported = (
        {"imported_absent": labels} if state == ABSENT else {"imported_changed": labels} if state == OTHER else {}
    )
    counts = {"lock": bool(outputs), "outputs": len(outputs), "absent": absent, "own_checksums": own, "made": made}
    text = report_text(len(outputs), absent, own, errors, made, locked=locked, **imported)
    inside = [output for output in outputs if output.path.is_relative_to(root / ARTIFACTS)]
    others = {} if errors else strangers(root, outputs)
    noted = made_of(inside, altered(inside, errors)) | dict.fromkeys(others)
    again = again_lines(noted, root / LOCK) if outputs and not errors else []
    return _result(
        "\n".join([text, *made_lines(noted), *stranger_lines(others), *again, *lines]),
        counts | imported | {"recorded": noted} | scores,
        errors,
        as_json,
    )


def _recounted(folder: Path, errors: list[IntegrityError]) -> tuple[dict[str, object], list[str]]:
    """What the scores of the run in `folder` are, for JSON and in lines. Adds to `errors` what is wrong."""
    from wsss.evaluation.recount import recount

    try:
        found = recount(folder)
    except IntegrityError as error:
        if not any(Path(error.where).is_relative_to(told.where) for told in errors):
            errors.append(error)
        return {"recount": None}, [f"scores not counted again: {error.where}: {error.what}"]
    errors += found.errors
    return {"recount": {"rows": found.rows, "agree": found.same}}, found.lines()


def _one(path: Path, root: Path, outputs: list[Output], as_json: bool) -> str:
    """Of an output of the dvc.lock in `root`, or what lies in one, and of what has its own checksums: these, and those
    of that lock, if it lists it.
    """
    output = next((one for one in outputs if _within(path, one)), None)
    holder = output.path if output else path
    own = has_own_checksums(holder)
    if output is None and not own:
        where = f"no output of {root / LOCK}" if (root / LOCK).is_file() else f"no {LOCK} above it"
        what = f"nothing to verify it by: {where}, and it has no checksums of its own"
        raise UserError(path, what, "give an output of a stage, a store, a network, or a folder that holds some")
    errors = differences([output], root, cache_folder(root)) if output else []
    errors = errors or (own_errors(holder) if own else [])
    if output is None:  # a copy, or labels that were imported: no stage makes it
        errors = [IntegrityError(e.where, e.what, f"copy {path} again, or make it again") for e in errors]
    by = " and ".join([LOCK] * (output is not None) + ["its own checksums"] * own)
    whole = "" if holder.resolve() == path.resolve() else f"all of {holder} "
    lines = [*map(str, errors), f"verify: {path}: {whole}compared with {by}; {_verdict(errors)}"]
    return _result("\n".join(lines), {"path": str(path), "lock": output is not None}, errors, as_json)


def _listed(path: Path) -> tuple[Path, list[Output]]:
    """The checkout that `path` is, or lies in, and the outputs in its dvc.lock that lie there, or hold it; none where
    there is no dvc.lock at it or above.
    """
    for root in (path, *path.parents, *path.absolute().parents):
        if (root / LOCK).is_file() and _is_in(path, root):
            outputs = read_lock(root / LOCK)
            return root, [one for one in outputs if _is_in(one.path, path) or _within(path, one)]
    return path, []


def _within(path: Path, output: Output) -> bool:
    return _is_in(path, output.path)


def _is_in(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder`, or lies in it, wherever links lead."""
    return any(Path(one(path)).is_relative_to(one(folder)) for one in (os.path.abspath, os.path.realpath))


def _package(folder: Path, as_json: bool) -> str:
    from wsss.predict.package import verify_package

    errors = verify_package(folder)
    lines = [*map(str, errors), f"verify: package {folder}; {_verdict(errors)}"]
    return _result("\n".join(lines), {"package": str(folder)}, errors, as_json)


def _predicted(folder: Path, as_json: bool) -> str:
    """Of the masks of `wsss predict`. That a person has edited some is no error."""
    from wsss.predict.folder import Folder

    found = Folder(folder, {})
    found.read()
    missing = [name for name in sorted(found.rows) if not found.mask(name).is_file()]
    edited = found.edited(sorted(found.rows))
    unknown = len(found.rows.keys() - found.checksums.keys() - set(missing))
    same = len(found.rows) - len(missing) - len(edited) - unknown
    fix = "give the same wsss predict again: it makes what is missing"
    errors = [IntegrityError(folder / MASKS, f"not there: {some(missing)}", fix)] if missing else []
    parts = [f"{same} as written"] if same or not unknown else []
    parts += [f"{len(edited)} edited since ({some(edited)})"] if edited else []
    parts += [f"{len(missing)} missing"] if missing else []
    parts += [f"{unknown} of an earlier wsss, which noted no checksums"] if unknown else []
    lines = [*map(str, errors), f"verify: {folder}: {counted(len(found.rows), 'mask')}: {', '.join(parts)}"]
    counts = {"predictions": str(folder), "as_written": same, "edited": edited, "missing": missing, "unknown": unknown}
    return _result("\n".join(lines), counts, errors, as_json)


def _result(text: str, counts: Mapping[str, object], errors: Sequence[IntegrityError], as_json: bool) -> str:
    """What is printed; it is, and the process ends with exit code 4, if there are errors."""
    if as_json:
        text = json_text({**counts, "errors": [{"file": e.where, "what": e.what, "fix": e.fix} for e in errors]})
    if errors:
        show(text)
        sys.exit(IntegrityError.exit_code)
    return text


def _verdict(errors: Sequence[IntegrityError]) -> str:
    return "everything agrees" if not errors else f"{len(errors)} error{'' if len(errors) == 1 else 's'}"


def report_text(
    outputs: int,
    absent: Sequence[str],
    own: int,
    errors: Sequence[IntegrityError],
    made: bool = True,
    locked: bool = False,
    imported_absent: str = "",
    imported_changed: str = "",
) -> str:
    """The errors, a line that counts what was read, and one that says what was not. `made`: any artifact is there;
    `locked`: a dvc.lock is there, though none of the outputs may be; `imported_absent`, `imported_changed`: the labels
    that the student learned from, where they were imported and are not there, or are others now.
    """
    if not (made or errors):
        return f"verify: no stage has made an artifact here yet, so nothing of {LOCK} was compared; next: dvc repro"
    lines = [str(error) for error in errors]
    if absent:
        some = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
        lines.append(f"not here, so not checked: {some}")
    if imported_absent:
        lines.append(f"not here, and no output of {LOCK}: {imported_absent}, the labels that the student learned from")
    if imported_changed:
        again = "to learn these: dvc repro -f -s distill, then dvc repro"
        lines.append(f"other labels now than those that the student learned from: {imported_changed} ({again})")
    if not outputs:
        lines.append(f"no {'output of ' * locked}{LOCK}: only the artifacts' own checksums were checked")
    read = f"{outputs - len(absent)} outputs of {LOCK} and {own} stores and networks read"
    return "\n".join([*lines, f"verify: {read}; {_verdict(errors)}", *([UNSEEN] if outputs else [])])


def cache_folder(folder: Path) -> Path:
    """Where DVC keeps the contents of files by their md5; its default place where DVC cannot say."""
    try:
        from dvc.repo import Repo

        with Repo(str(folder)) as repo:
            return Path(str(repo.cache.local.path))
    except Exception:  # no repository, or no DVC: the workspace is compared all the same
        return folder / CACHE
