"""Commands as people meet them: errors as text and exit codes, without loading anything heavy."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from wsss.core.atomic import explained_os_errors
from wsss.core.errors import UserError, WsssError
from wsss.core.interrupt import end_by_signals
from wsss.core.log import say, visible
from wsss.core.packages import missing_package

T = TypeVar("T")

CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True}
debug_option = click.option("--debug", is_flag=True, help="show the traceback of an error")
json_option = click.option("--json", "as_json", is_flag=True, help="print JSON instead of text")


def guarded(work: Callable[[], T], debug: bool) -> T:
    """Result of `work`; an error is said in two lines and ends the process.

    Exit codes: 2 user input, 3 environment, 4 integrity, 75 interrupted, 130 Ctrl-C, 1 bug.
    """
    try:
        return work()
    except WsssError as error:
        if debug:
            traceback.print_exc()
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("stopped (SIGINT) at once; files that were finished are kept")
        sys.exit(130)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        if debug:
            traceback.print_exc()
        say(str(UserError(str(error.filename), str(error.strerror).lower(), "correct the path, or choose another")))
        sys.exit(UserError.exit_code)
    except ModuleNotFoundError as error:
        if debug:
            traceback.print_exc()
        missing = missing_package("wsss", error.name or "")
        say(str(missing))
        sys.exit(missing.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if _of_a_lost_worker(error):
            from wsss.core.processes import worker_lost

            lost = worker_lost()
            say(str(lost))
            sys.exit(lost.exit_code)
        if full := _of_the_disk(error):
            say(str(full))
            sys.exit(full.exit_code)
        say(f"error: wsss: {type(error).__name__}: {error}\nfix: this is a bug; run again with --debug and report it")
        sys.exit(1)


def _of_a_lost_worker(error: Exception) -> bool:
    """True for what torch's loader raises where its worker process was killed.

    It raises in a signal handler, so in the middle of anything; or its pipe breaks first.
    """
    return isinstance(error, ConnectionResetError) or (
        isinstance(error, RuntimeError) and "DataLoader worker" in str(error)
    )


def _of_the_disk(error: Exception) -> WsssError | None:
    """What a full or read-only disk means, also where no writer has said so: a folder cannot be made either."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
        try:
            with explained_os_errors(Path(error.filename or Path.cwd())):
                raise error
        except WsssError as known:
            return known
    return None


class Coloured(str):
    """Text whose escape sequences are our own."""


def show(text: str) -> None:
    """Print to standard output, with control characters of foreign names written out."""
    if isinstance(text, Coloured):
        click.echo(text, color=True)  # who returns it has asked for colours, and click would leave them out in a pipe
    else:
        click.echo(visible(text))


def show_early(text: str) -> None:
    """`show`, while the work goes on: a pipe that is closed is for what is shown last, outside the guard."""
    with contextlib.suppress(BrokenPipeError):
        show(text)


def people_command(main: Callable[..., str]) -> click.Command:
    """Make `main` a subcommand of `wsss`: --debug, errors as exit codes; the text that it returns, if any, is standard
    output.

    Its name on the command line is the last part of its module's name.
    """

    @click.command(name=main.__module__.rpartition(".")[2], help=main.__doc__, context_settings=dict(CONTEXT))
    @debug_option
    @functools.wraps(main)
    def command(debug: bool, **arguments: Any) -> None:
        with end_by_signals():
            text = guarded(lambda: main(**arguments), debug)
        if text:
            show(text)  # outside the guard: click knows what to do when a pipe is closed

    return command


def json_text(value: Any) -> str:
    """What `--json` prints; dataclasses become objects."""
    return json.dumps(value, ensure_ascii=False, indent=1, default=asdict)
