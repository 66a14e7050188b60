"""What stages tell while they run, read from the scratch folder: how the run stands, as text for a terminal."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsss.core.live import DONE, RUNS, told
from wsss.core.log import clock
from wsss.core.minutes import ORDER, Span

SILENT = 60.0
"""Seconds after which a stage that says nothing counts as gone."""
ROWS = 5
"""Epochs that a terminal shows."""
NOT_SHOWN = ("epoch", "lr", "grad_norm")
"""Columns of a history that a terminal has no room for; `epoch` comes first."""


@dataclass(frozen=True)
class Run:
    """What the stages have told, the last one `now`; those of earlier runs are left out. `alive`: it goes on."""

    stages: Mapping[str, Mapping[str, Any]]
    now: Mapping[str, Any]
    alive: bool

    @property
    def state(self) -> str:
        """One sentence: what is being done, or how it ended."""
        name = self.now["stage"]
        if self.now["state"] == RUNS:
            return f"{name} is running" if self.alive else f"{name} ended without a word; dvc repro goes on from there"
        if self.now["state"] != DONE:
            return f"{name} was stopped: {self.now['why']}"
        took = f"{name} is done"
        if self.alive:
            return f"{took}; DVC stores its outputs"
        return f"{took}, and with it the pipeline: see reports/gallery/index.html" if name == ORDER[-1] else took

    @property
    def ended(self) -> str:
        """When it last said something, by the clock here; with the day, if that was not today."""
        told = time.localtime(self.now["written"])
        return time.strftime("%H:%M:%S" if told[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M", told)

    @property
    def loading(self) -> bool:
        """True while the stage has nothing to tell yet."""
        parts = ("works", "phases", "tags", "photos")
        return self.alive and self.now["state"] == RUNS and not any(self.now[part] for part in parts)

    @property
    def minutes(self) -> str:
        """What is left, ``stage 4 min, pipeline ≤ 25 min``; empty where it is not known."""
        left, rest = self.now["left"], self.now["rest"]
        if self.now["state"] != RUNS or not self.alive:
            return ""
        if left is None or not left[1]:
            works = self.now["works"]
            return f"this step {Span(works[0]['eta'], works[0]['eta']).text()}" if works and works[0]["eta"] else ""
        later = f", pipeline ≤ {Span(*2 * (left[1] + rest,)).text()}" if rest else ""
        return f"stage {Span(*left).text()}{later}"

    @property
    def done(self) -> list[tuple[str, str]]:
        """Earlier stages and how long they took."""
        earlier = [each for name, each in self.stages.items() if name != self.now["stage"]]
        return [(each["stage"], Span(each["spent"], each["spent"]).text()) for each in earlier]

    @property
    def ended_with_words(self) -> bool:
        """Whether the gallery was the last stage, and has said its last words."""
        return bool(self.now["state"] == DONE and self.now.get("words"))  # an older stage has left none

    @property
    def ended_well(self) -> bool:
        """Whether the run has ended with a stage that was done."""
        return bool(self.now["state"] == DONE and not self.alive)

    def latest(self, part: str) -> Mapping[str, Any] | None:
        """The last stage that has told something of this `part`; None if none has."""
        return next((each for each in reversed(list(self.stages.values())) if each[part]), None)


def read_run(where: Path) -> Run | None:
    """The run whose stages tell of it in the folder `where`; None if no stage has."""
    stages = told(where)
    if not stages:
        return None
    now = max(stages.values(), key=lambda each: each["written"])
    until = ORDER.index(now["stage"])
    known = {name: stages[name] for name in ORDER[: until + 1] if name in stages}
    return Run(known, now, _alive(now))


def _alive(now: Mapping[str, Any]) -> bool:
    """True while the stage runs, or DVC may start another one after it."""
    process = now["process"] if now["state"] == RUNS else now["dvc"] if now["state"] == DONE else None
    if process is None or (now["state"] == DONE and now["stage"] == ORDER[-1]):
        return False
    if now["host"] == socket.gethostname():
        with suppress(PermissionError):  # another user's
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return False
            return now["state"] == DONE or time.time() - now["written"] < 10 * SILENT
    return bool(time.time() - now["written"] < SILENT)


def lines(run: Run, words: str = "") -> list[str]:
    """The run for a terminal: state, works at hand, minutes, losses by epoch, tags, and the last `words`."""
    found = [run.state]
    if run.alive:
        found += [f"  {_work(each)}" for each in run.now["works"]]
    if run.loading:
        found.append("  loading photos…")
    if run.minutes:
        found.append(f"left: {run.minutes}")
    if run.done:
        found.append("so far: " + ", ".join(f"{name} {took}" for name, took in run.done))
    last = run.latest("phases") or run.now
    for phase, part in last["phases"].items():
        if part["rows"]:
            found += ["", *_losses(f"{last['stage']}{f', {phase}' if phase else ''}", part)]
    if tags := last["tags"]:
        each = ", ".join(
            f"{'before' if epoch == '0' else f'epoch {epoch}'} {value:.3f}" for epoch, value in tags.items()
        )
        found += ["", f"mean AP of the held-out tags: {each}"]
    if words:
        found += ["", *words.splitlines()]
    return found


def _work(told: Mapping[str, Any]) -> str:
    percent = 100 * told["done"] // told["total"] if told["total"] else 100
    eta = "" if told["eta"] is None else f", eta {clock(told['eta'])}"
    note = f", {told['note']}" if told["note"] else ""
    return f"{told['label']}: {told['done']}/{told['total']} {told['unit']} ({percent} %){eta}{note}"


def _losses(name: str, part: Mapping[str, Any]) -> list[str]:
    rows = part["rows"]
    columns = ["epoch", *(column for column in rows[-1] if column not in NOT_SHOWN)]
    cells = [
        [f"{row[column]:.0f}" if column == "epoch" else f"{row[column]:.3f}" for column in columns] for row in rows
    ]
    shown = [columns, *cells[-ROWS:]]
    widths = [max(len(row[place]) for row in shown) for place in range(len(columns))]
    title = f"{name}: epoch {len(rows)} of {part['epochs']}"
    return [title, *("  " + "  ".join(map(str.rjust, row, widths)) for row in shown)]
