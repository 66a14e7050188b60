"""`wsss tag`: photos without tags become a table of tags, in the browser."""

from __future__ import annotations

import glob
import secrets
import shlex
import socket
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsss.commands.again import Again
from wsss.core.command import people_command, show
from wsss.core.errors import EnvError, UserError
from wsss.core.log import warn
from wsss.core.missing import similar
from wsss.formats.problems import some

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from wsss.tag.session import Session

HOST = "127.0.0.1"
"""Nobody but this machine can connect."""
ENDINGS = (".csv", ".tsv", ".txt")
"""Of tables that can be written."""


@people_command
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--tags", type=click.Path(path_type=Path), help="table to write or begin with; default: tags.csv there")
@click.option("--photo-column", metavar="NAME", default="", help="heading of its column that names the photos")
@click.option("--tag-column", metavar="NAME", default="", help="heading of its column of tags, of several")
@click.option("--classes", type=click.Path(path_type=Path), help="file of classes, one a line; default: FOLDER's own")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="port of this machine; 0: any that is free")
@click.option("--no-browser", is_flag=True, help="print the address, and open no browser")
def main(
    folder: Path,
    tags: Path | None,
    photo_column: str,
    tag_column: str,
    classes: Path | None,
    port: int,
    no_browser: bool,
) -> str:
    """Tag the photos of FOLDER in the browser, and write the table that wsss init reads.

    Every step is on the disk at once. Ctrl-C ends it; the same command goes on where it was. After thirty photos it
    suggests tags for the others, from a network that has seen other photos (ImageNet) and from your own tags.

    A table that is there is continued. A workbook, or a table with a column for each class or several rows a photo, is
    read, and stays as it is: its tags begin a new table beside it.
    """
    if not folder.is_dir():
        raise UserError(folder, f"no such folder{similar(folder)}", "give the folder of the photos")
    if classes is not None and not classes.is_file():
        raise UserError(classes, "no such file", "give a file with one class a line, or leave --classes out")
    _need_packages()
    from wsss.core.lock import locked
    from wsss.formats.columns import Headings
    from wsss.formats.guess import other_tables
    from wsss.tag.pictures import Pictures
    from wsss.tag.server import tag_server
    from wsss.tag.session import Session
    from wsss.tag.suggest import Suggestions

    again = Again(folder, tags, {"photo_column": photo_column, "tag_column": tag_column}, verb="tag")
    try:
        table = None if tags is None else _inside(tags, folder)
        session = Session(folder, table, classes, Headings(photo_column, tag_column))
    except UserError as error:
        raise again.pasteable(error) from error
    if tags is None and session.source is None and not session.path.exists() and (others := other_tables(folder)):
        fix = f"to go on with it: wsss tag {shlex.quote(str(folder))} --tags {shlex.quote(others[0])}"
        warn(folder, f"{some(others)} {'is' if len(others) == 1 else 'are'} not read; a new table is begun", fix)
    token = secrets.token_urlsafe(24)
    with (
        locked(session.path.with_name(f".{session.path.name}.lock"), "the table is being tagged by another wsss tag"),
        listening(port) as listener,
    ):
        for path in (session.path, session.classes.path):
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):  # by a killed one, before it was whole
                left.unlink()
        number = listener.getsockname()[1]
        suggestions = Suggestions(session)
        app = tag_server(session, suggestions, Pictures(folder), token, number)
        address = f"http://{HOST}:{number}/{token}/"
        session.keep()
        origin = f", begun with those of {session.source.name}, which stays as it is" if session.source else ""
        show(f"{len(session.photos)} photos; tags go to {session.path}{origin}\n{address}\nCtrl-C ends it")
        suggestions.begin()
        try:
            _serve(app, listener, None if no_browser else address)
        finally:
            suggestions.end()
    return last_words(session, again)


def last_words(session: Session, again: Again) -> str:
    """How many photos are tagged, and the next command, in a line."""
    done, _ = session.counts()
    left = len(session.photos) - done
    rest = f" ({left} are not, and would count as photos of no class)" if left else ""
    if done:
        own = session.source is not None  # a new table, with headings of ours
        table = session.path if own or again.tags is not None else None
        again = replace(again, verb="init", tags=table, asked={} if own else again.asked)
    return f"tag: {done} of {len(session.photos)} photos are tagged{rest}; next: {again.command}"


def _inside(tags: Path, folder: Path) -> Path:
    """`tags` as given from here or from `folder`. `UserError` if it lies elsewhere, where `wsss init` reads none."""
    from wsss.tag.copied import WORKBOOK

    root = folder.resolve()
    places = (path for path in (tags, folder / tags) if path.parent.is_dir())
    found = next((path for path in places if path.parent.resolve().is_relative_to(root)), None)
    if found is None:
        raise UserError(tags, f"lies outside {folder}, or in no folder", f"give a file in {folder}")
    readable = found.suffix.lower() in ENDINGS or (found.suffix.lower() == WORKBOOK and found.is_file())
    if not readable or found.name.startswith("."):
        raise UserError(tags, "is no name of a table", f"give a name that ends in {' or '.join(ENDINGS)}")
    return found


def _need_packages() -> None:
    try:
        import starlette
        import uvicorn  # noqa: F401 -- both are only looked for

        assert starlette
    except ModuleNotFoundError as error:
        what = f"needs the package {error.name}, which is not installed"
        raise EnvError("wsss tag", what, "pip install 'wsss[tag]'") from error


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket at `port` of this machine alone, 0: at any that is free."""
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        fix = "leave --port out: a free one is found"
        raise UserError(f"--port {port}", f"cannot be used ({error.strerror})", fix) from error
    with listener:
        yield listener


def _serve(app: ASGIApp, listener: socket.socket, address: str | None) -> None:
    """Answer until Ctrl-C. `address`: of the page to open in the browser; the socket listens already."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2,
            server_header=False, proxy_headers=False,
        )
    )  # fmt: skip
    if address is not None:
        webbrowser.open(address)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
