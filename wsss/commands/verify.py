"""`wsss verify`: are the artifacts still the bytes that the stages wrote?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from wsss.commands.differences import differences, has_own_checksums, own_errors
from wsss.core.command import json_option, json_text, people_command, show
from wsss.core.errors import IntegrityError, UserError
from wsss.core.locked_files import CACHE, Output, read_lock
from wsss.core.words import counted
from wsss.formats.problems import some
from wsss.predict.written import MASKS, is_filled

LOCK = "dvc.lock"
ARTIFACTS = "artifacts"
UNSEEN = "not looked at: whether settings, code or data have changed since (dvc status tells)"


@people_command
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@json_option
def main(folder: Path, as_json: bool) -> str:
    """Read every byte of the artifacts in FOLDER, a checkout, and compare it with dvc.lock and with their checksums. Or
    of one thing: FOLDER is a store, such as artifacts/pseudo, anything else that has checksums of its own, a package
    that wsss export has made, or a folder of wsss predict.

    Finds files that were edited in place, also where DVC says "up to date", cut shards and flipped bits.
    Exit code 4 if there is any. An output that is not there at all is none of these: dvc repro makes it. dvc
    status tells whether settings, code or data have changed since. Also says what this machine has noted of who made
    the artifacts, and to which stages masks were closed.
    """
    from wsss.predict.package import is_package
    from wsss.report.lineage import ABSENT, OTHER, learned_labels
    from wsss.report.made import made_lines, made_of
    from wsss.stores.verify import verify_folder

    if not (folder.is_dir() or (folder.is_file() and has_own_checksums(folder))):
        raise UserError(folder, "no such folder", "give the folder of dvc.yaml, or a store")
    if folder.is_dir() and is_package(folder):
        return _package(folder, as_json)
    if is_filled(folder):
        return _predicted(folder, as_json)
    if has_own_checksums(folder) and not (folder / LOCK).is_file():
        return _one(folder, as_json)
    outputs = read_lock(folder / LOCK) if (folder / LOCK).is_file() else []
    errors = differences(outputs, folder, cache_folder(folder))
    own, found = verify_folder(folder / ARTIFACTS if outputs or (folder / ARTIFACTS).is_dir() else folder)
    if not outputs and not own:
        raise UserError(folder, "nothing to verify: no dvc.lock and no artifacts", "run dvc repro, or give its folder")
    told = [Path(error.where) for error in errors]
    # One file, one message.
    errors += [e for e in found if not any(Path(e.where).is_relative_to(path) for path in told)]
    absent = [str(output.path) for output in outputs if not output.path.exists()]
    made = bool(own) or any(
        output.path.is_relative_to(folder / ARTIFACTS) and output.path.exists() for output in outputs
    )
    labels, state = learned_labels(folder) if outputs else ("", "")
    imported = (
        {"imported_absent": labels} if state == ABSENT else {"imported_changed": labels} if state == OTHER else {}
    )
    counts = {"lock": bool(outputs), "outputs": len(outputs), "absent": absent, "own_checksums": own, "made": made}
    text = report_text(len(outputs), absent, own, errors, made, **imported)
    noted = made_of([output for output in outputs if output.path.is_relative_to(folder / ARTIFACTS)])
    return _result("\n".join([text, *made_lines(noted)]), counts | imported | {"recorded": noted}, errors, as_json)


def _one(path: Path, as_json: bool) -> str:
    """Of what has its own checksums: these, and those of the dvc.lock above it, if that lists it."""
    root, outputs = _listed(path)
    errors = differences(outputs, root, cache_folder(root)) or own_errors(path)
    if not outputs:  # a copy, or labels that were imported: no stage makes it
        errors = [IntegrityError(e.where, e.what, f"copy {path} again, or make it again") for e in errors]
    compared = f"compared with {LOCK} and its own checksums" if outputs else "compared with its own checksums"
    lines = [*map(str, errors), f"verify: {path}: {compared}; {_verdict(errors)}"]
    return _result("\n".join(lines), {"path": str(path), "lock": bool(outputs)}, errors, as_json)


def _listed(path: Path) -> tuple[Path, list[Output]]:
    """The checkout that `path` is an output of, and the output; none where no dvc.lock above lists it."""
    for root in (path.parent, path.parent.parent):
        if (root / LOCK).is_file():
            found = [one for one in read_lock(root / LOCK) if one.path.resolve() == path.resolve()]
            return root, found
    return path.parent, []


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
    imported_absent: str = "",
    imported_changed: str = "",
) -> str:
    """The errors, a line that counts what was read, and one that says what was not. `made`: any artifact is there;
    `imported_absent`, `imported_changed`: the labels that the student learned from, where they were imported and are
    not there, or are others now.
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
        lines.append(f"no {LOCK}: only the artifacts' own checksums were checked")
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
