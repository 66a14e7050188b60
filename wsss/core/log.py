"""What a person sees while a stage works: one bar on a terminal, a plain line every 30 s elsewhere, one summary."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PLAIN_SECONDS = 30.0

SETTLED_SECONDS = 5.0
"""No rate is told of less than this: what two workers finish at nearly the same time would count as very fast."""
WIDE = 110
"""Columns of a terminal that has room beside the bar."""

Ahead = Callable[[float | None], str]
"""What is left beyond the work that is shown, of which so many seconds are left; empty where that is not known."""
_ahead: Ahead | None = None
_phase = ""


@contextmanager
def looking_ahead(ahead: Ahead) -> Iterator[None]:
    """While inside, progress says beside the remaining time of its own work what `ahead` says of all the rest."""
    global _ahead
    before, _ahead = _ahead, ahead
    try:
        yield
    finally:
        _ahead = before


@contextmanager
def phase(name: str) -> Iterator[None]:
    """While inside, the work that is shown is part `name` of its stage, ``student 1 of 2``."""
    global _phase
    before, _phase = _phase, name
    try:
        yield
    finally:
        _phase = before


def current_phase() -> str:
    """The part of the stage that is being worked on; empty if it has no parts."""
    return _phase


class Progress:
    """Progress of `total` units of work.

    A live bar with the remaining time on a terminal; in a log file, one line every 30 seconds, so that hours of
    training do not become megabytes of control characters. The line comes also while nothing gets finished: a first
    unit that takes minutes is no silence.
    """

    shown: ClassVar[list[Progress]] = []
    """Those at work now, the outer ones first."""

    def __init__(self, label: str, total: int, unit: str = "", done: int = 0) -> None:
        self.label, self.total, self.unit = f"{label}: {_phase}" if _phase else label, total, unit
        self._done = done
        self._first: tuple[float, int] | None = None
        self._note = ""
        self._last_line = time.monotonic()
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._bar = _live_bar(unit, self.remaining, self.ahead)
        if self._bar is not None:
            self._task = self._bar.add_task(self.label, total=total, completed=done, note="")

    def __enter__(self) -> Progress:
        Progress.shown.append(self)
        if self._bar is not None:
            self._bar.start()
        else:
            threading.Thread(target=self._lines, name=f"progress of {self.label}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Progress.shown.remove(self)
        self._ended.set()
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Count `steps` more units as done; `note` is shown beside the bar (a loss, a file name)."""
        self._done += steps
        self._note = self._note if note is None else visible(note)
        if steps and self._first is None:
            self._first = time.monotonic(), self._done
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, note=self._note)
        else:
            self._line_if_due()

    def _lines(self) -> None:
        while not self._ended.wait(PLAIN_SECONDS / 30):
            self._line_if_due()

    def _line_if_due(self) -> None:
        with self._turn:
            now = time.monotonic()
            if now - self._last_line >= PLAIN_SECONDS:
                self._last_line = now
                say(self.line(now))

    def rate(self, now: float) -> float | None:
        """Units a second since the first unit was done, which alone waits for workers to start and code to compile.

        None as long as that says little.
        """
        begin, before = self._first or (now, self._done)
        known = now - begin >= SETTLED_SECONDS and self._done > before
        return (self._done - before) / (now - begin) if known else None

    def remaining(self) -> str:
        """The remaining time by `rate`, ``4:10``; dashes while there is none."""
        eta = self.eta(time.monotonic())
        return "-:--" if eta is None else clock(eta)

    def eta(self, now: float) -> float | None:
        """The remaining time by `rate`, in seconds."""
        rate = self.rate(now)
        return None if rate is None else (self.total - self._done) / rate

    def told(self, now: float) -> dict[str, str | int | float | None]:
        """The same for other programs."""
        named = {"label": self.label, "unit": self.unit, "note": self._note}
        return {**named, "done": self._done, "total": self.total, "eta": self.eta(now)}

    def ahead(self) -> str:
        """What is left beyond this work, where the stage knows; else empty."""
        return "" if _ahead is None else _ahead(self.eta(time.monotonic()))

    def line(self, now: float) -> str:
        """The plain form: ``cams: 128/591 images (22 %), 3.1/s, eta 2:29``."""
        rate = self.rate(now)
        speed = "" if rate is None else f", {rate:.2g}/s, eta {clock((self.total - self._done) / rate)}"
        percent = 100 * self._done // self.total if self.total else 100
        note = f", {self._note}" if self._note else ""
        ahead = f"; {text}" if (text := self.ahead()) else ""
        return f"{self.label}: {self._done}/{self.total} {self.unit} ({percent} %){speed}{note}{ahead}"


def _live_bar(unit: str, remaining: Callable[[], str], ahead: Callable[[], str]) -> RichProgress | None:
    """A bar on a terminal, None elsewhere. rich is loaded here: whoever only says one line does not wait for it."""
    from rich import progress as rich
    from rich.console import Console
    from rich.table import Column
    from rich.text import Text

    class Remaining(rich.ProgressColumn):
        """By the rule of the plain line: rich's own counts the start of the workers as work."""

        def render(self, task: rich.Task) -> Text:
            return Text(remaining(), style="progress.remaining")

    class Ahead(rich.ProgressColumn):
        """What is left after it."""

        def render(self, task: rich.Task) -> Text:
            return Text(ahead())

    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    after = [Ahead(table_column=Column(no_wrap=True))] if console.width >= WIDE else []
    return rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn(unit),
        rich.TimeElapsedColumn(),
        rich.TextColumn("eta"),
        Remaining(),
        rich.TextColumn("{task.fields[note]}"),
        *after,
        console=console,
    )


def clock(seconds: float) -> str:
    """``h:mm:ss`` or ``m:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


_CONTROL = (*range(9), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000))
_TURNING = (0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_WRITTEN_OUT = {code: f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}" for code in (*_CONTROL, *_TURNING)}
"""Control characters but newline and tab, bytes that are no text, and marks that turn the direction of writing."""


def visible(text: str) -> str:
    """`text` with its control characters written out: a file's or a class's name may hold commands to the terminal."""
    return text.translate(_WRITTEN_OUT)


def say(text: str) -> None:
    """One line for the person, on standard error, at once."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def warn(where: object, what: str, fix: str) -> None:
    """A problem that does not stop the work but that the user will want to know."""
    say(f"warning: {where}: {what}\nfix: {fix}")
