"""`wsss watch`: look on while stages run, in the terminal or on a page."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsss.core.command import people_command
from wsss.core.errors import UserError, WsssError
from wsss.core.log import say, visible

if TYPE_CHECKING:
    from wsss.report.watch import Run

SECONDS = 2.0
WAIT = 60.0
"""Seconds; DVC takes a few until its first stage speaks."""
OTHERS = "reports or settings have changed since these stages ran; by now:"
UNCHANGED = "all results to the gallery are here as dvc.lock lists them, and say:"
ELSEWHERE = "no stage has run here; the results were brought here, and say:"
PAGE = "watch.html"
"""In the folder of what the stages tell."""


@people_command
@click.option("--page", is_flag=True, help="keep a page up to date instead, and say where it is")
@click.option("--once", is_flag=True, help="say how it stands now, and end")
def main(page: bool, once: bool) -> str:
    """Look on while the pipeline of this folder runs: stage, losses, AP of the tags, minutes left.

    --page writes a page that reloads itself: the same as curves, and four photos with what the network says of them
    after each epoch. Both wait a minute for a run that is about to begin, and end with the run, or by Ctrl-C, which
    leaves the run alone. Without a terminal, and without --page, it says how it stands now. After the gallery that is
    the verdict on the results that are here, and what to do.
    """
    from wsss.core.live import folder
    from wsss.report.watch import lines, read_run

    if (run := read_run(folder())) is None:
        if not page and (words := _brought_here()):
            return f"{ELSEWHERE}\n{words}"
        raise UserError(folder(), "no stage has run here", "go to the folder of a run, or begin one: dvc repro")
    try:
        if page:
            _keep_page(folder() / PAGE, run, once)
        elif not once and sys.stdout.isatty():
            run = _keep_showing(_begun(run))
    except KeyboardInterrupt:
        return ""
    return "\n".join(lines(run, _last_words(run))) if not page else ""


def _last_words(run: Run) -> str:
    """What is to be said of the results, which DVC may have brought back from its cache since stages ran; or why it
    cannot be said. Empty before the gallery, unless the stages that ran again have changed nothing.
    """
    if not (run.ended_with_words or run.ended_well):
        return ""
    from wsss.report.words_now import are_complete, masks_now, words_now

    try:
        if not (run.ended_with_words or are_complete()):
            return ""
        words, masks = words_now(), masks_now()
    except WsssError as error:
        return f"no verdict now: {error}"
    if not run.ended_with_words:
        return _both(f"{UNCHANGED}\n{words}", masks)
    return _both(words if words == run.now["words"] else f"{OTHERS}\n{words}", masks)


def _brought_here() -> str:
    """What is to be said of results that no stage has made here: of a copy, or from DVC's cache. Empty without them."""
    from wsss.report.words_now import masks_now, words_now

    try:
        return _both(words_now(), masks_now())
    except WsssError:
        return ""


def _both(words: str, masks: str) -> str:
    return f"{words}\n\n{masks}" if masks else words


def _next(run: Run) -> Run:
    """How it stands a moment later."""
    from wsss.core.live import folder
    from wsss.report.watch import read_run

    time.sleep(SECONDS)
    return read_run(folder()) or run


def _begun(run: Run) -> Run:
    """`run`, or the one that begins within a minute, if it has ended."""
    if not run.alive:
        say(f"waiting for a run (the last one ended {run.ended})")
    until = time.monotonic() + WAIT
    while not run.alive and time.monotonic() < until:
        run = _next(run)
    return run


def _keep_showing(run: Run) -> Run:
    from rich.live import Live
    from rich.text import Text

    from wsss.report.watch import lines

    with Live(auto_refresh=False, transient=True) as screen:
        while run.alive:
            screen.update(Text(visible("\n".join(lines(run))), no_wrap=True, overflow="ellipsis"), refresh=True)
            run = _next(run)
    return run


def _keep_page(file: Path, run: Run, once: bool) -> None:
    from wsss.core.live import put
    from wsss.report.watch_page import page

    put(file, page(run, waiting=not (run.alive or once)).encode())
    where = f"open {file.absolute().as_uri()} in a browser"
    say(f"{run.state}\n{where}" if once else f"{where}; Ctrl-C ends")
    if not once:
        run = _begun(run)
        put(file, page(run).encode())
    while run.alive and not once:
        run = _next(run)
        put(file, page(run).encode())
    if not once:
        say(run.state)
