"""`wsss download`: the official archives of VOC 2012, SBD and COCO 2014, fetched, compared and unpacked."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.atomic import explained_os_errors, write_text
from wsss.core.command import people_command
from wsss.core.errors import UserError
from wsss.core.fetch import check_space, check_sum, fetch, file_digest
from wsss.core.lock import locked
from wsss.core.log import say
from wsss.core.unpack import unpack
from wsss.formats.downloads import DOWNLOADS, Archive, write_train_aug

DONE = ".wsss-download"
"""Folder of archives under way, and of notes about those that are done."""


@people_command
@click.argument("name", type=click.Choice(sorted(DOWNLOADS)))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--mirror", help="address of a folder that holds the archives under their own names")
@click.option("--sha256", "digests", multiple=True, help="checksum to accept for an archive that has no known one")
@click.option("--keep-archives", is_flag=True, help="do not delete archives after unpacking")
def main(name: str, folder: Path, mirror: str | None, digests: tuple[str, ...], keep_archives: bool) -> str:
    """Download a public data set into FOLDER, compare its checksums, and unpack it.

    A download that was cut goes on where it stopped when the command is run again.
    """
    chosen = DOWNLOADS[name]
    say(f"{name}: {chosen.terms}")
    work = folder / DONE
    with explained_os_errors(folder):
        work.mkdir(parents=True, exist_ok=True)
    with locked(work / "lock", "a download to this folder is already running"):
        for archive in chosen.archives:
            get(archive, folder, mirror, {digest.lower() for digest in digests}, keep_archives)
    root = folder / chosen.root
    if name == "sbd":
        return f"download: {root}\n{write_train_aug(folder)}"
    return f"download: {root}; next: wsss init {root}"


def get(archive: Archive, folder: Path, mirror: str | None, digests: set[str], keep: bool) -> None:
    """Fetch, compare and unpack one archive, unless that is done already."""
    note = folder / DONE / f"{archive.name}.done"
    if note.is_file():
        say(f"{archive.name}: done before ({note})")
        return
    path = folder / DONE / archive.name
    if not path.is_file():
        check_space(folder, (archive.size or 0) + archive.limits.size * 2 // 3, f"{archive.name} and its contents")
        fetch(archive.url if mirror is None else f"{mirror.rstrip('/')}/{archive.name}", path, archive.size)
    if archive.checksum is not None:
        check_sum(path, archive.checksum)
        known = archive.checksum
    else:
        found = file_digest(path, "sha256")
        if found not in digests:
            what = f"no official checksum of this archive is known; it has sha256 {found}"
            fix = f"compare it with a source that you trust, then run again with --sha256 {found}"
            raise UserError(path, what, fix)
        known = f"sha256:{found}"
    count = unpack(path, folder, archive.limits)
    write_text(note, f"{known}\n{count} files\n")
    if not keep:
        path.unlink()
    say(f"{archive.name}: {count} files → {folder}")
