"""How long stages take on this machine: what each took the last time, or else what `wsss init` or `plan` has estimated.
A time counts for the same work alone, see `same_work`; of other work nothing is known.

The notes lie in the scratch folder, so they change no artifact, and whoever deletes them loses nothing else.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from wsss.core.atomic import write_text
from wsss.core.environment import leads, scratch_root
from wsss.core.errors import WsssError
from wsss.core.live import telling
from wsss.core.log import Progress, current_phase, looking_ahead, say
from wsss.core.same_work import Work, count_photos, works

ORDER = ("demo", "index", "pretrain", "train", "cams", "correct", "distill", "evaluate", "gallery")
"""The stages, as the pipeline runs them."""
COUNTING = ("demo", "index")
"""Before these have ended nobody knows how many photos there are."""
NOTES = "minutes.json"
WORTH_A_LINE = 60.0
"""Seconds; of less nothing is said."""
ASIDE = 0.25
"""Of the time of a stage's own work, what it does besides: looks at photos that are held out, writes its files."""
PARTS = re.compile(r"(\d+) of (\d+)")


class Span(NamedTuple):
    """From `low` to `high` seconds."""

    low: float
    high: float

    def text(self) -> str:
        """``40 s``, ``5 to 20 s``, and from a minute on ``6 min``, ``3 to 7 min``."""
        if self.high < 60:
            least, most = (f"{max(1.0, end):.0f}" for end in self)
            return f"{most} s" if least == most else f"{least} to {most} s"
        return f"{self._minutes()} min"

    def sentence(self) -> str:
        """``less than a minute``, ``about 1 minute``, ``about 3 to 7 minutes``."""
        if self.high < 60:
            return "less than a minute"
        minutes = self._minutes()
        return f"about {minutes} minute{'' if minutes == '1' else 's'}"

    def _minutes(self) -> str:
        least = "1" if self.low < 90 else f"{self.low / 60:.0f}"
        most = f"{self.high / 60:.0f}"
        return most if least == most else f"{least} to {most}"


class Outlook:
    """What is left for stage `name`, which began `spent` seconds ago, and for those after it.

    `stage`: how long it takes in all; `rest`: how long all later ones take at most, because DVC may skip some. None:
    not known.
    """

    def __init__(self, name: str, stage: Span | None, rest: float | None, spent: float = 0.0) -> None:
        self.name, self.stage, self.rest, self.begin = name, stage, rest, time.monotonic() - spent
        self._begins: dict[str, float] = {}

    def spent(self) -> float:
        """Seconds since the stage began, also in runs that were interrupted."""
        return time.monotonic() - self.begin

    def left(self, eta: float | None) -> Span | None:
        """Of the stage; `eta`: seconds of the work that is shown, which alone may take longer than all was to take.

        Where that is the stage's last own work, its speed tells more than what was known before. Where parts are to
        come, ``student 2 of 2``, each takes as long as the one before, if not longer.
        """
        if self.stage is None:
            return None
        spent, own = self.spent(), self._own_work()
        least = (eta or 0.0) + self._parts_to_come(spent, (eta or 0.0) if own else 0.0)
        low, high = (max(0.0, end - spent, least) for end in self.stage)
        part = PARTS.search(current_phase() or "1 of 1")
        if eta is not None and own and part is not None and part[1] == part[2]:
            low, high = min(low, eta), min(high, eta + ASIDE * (spent + eta))
        return Span(low, high)

    def _own_work(self) -> bool:
        """Whether the work that is shown is the stage's own."""
        name = current_phase()
        return bool(Progress.shown) and Progress.shown[0].label == (f"{self.name}: {name}" if name else self.name)

    def _parts_to_come(self, spent: float, eta: float) -> float:
        """Seconds at least of the parts after the one that is, or was, worked on; `eta`: of its own work."""
        phase = current_phase()
        self._begins.setdefault(phase, spent)
        numbered = [(name, part) for name in list(self._begins) if (part := PARTS.search(name))]
        if not phase or not numbered:
            return 0.0
        last, part = numbered[-1]
        ends = spent + eta if last == phase else self._begins[phase]
        return (int(part[2]) - int(part[1])) * (ends - self._begins[last])

    def live(self, eta: float | None) -> str:
        """For a line of progress: ``stage 4 min, pipeline ≤ 25 min``; empty where nothing is known."""
        left = self.left(eta)
        if left is None or (left.high == 0 and eta is None):
            return ""  # it takes longer than was known, and nobody can say how long
        parts = [f"stage {left.text()}"]
        if self.rest:
            parts.append(f"pipeline ≤ {Span(*2 * (left.high + self.rest,)).text()}")
        return ", ".join(parts)

    def seconds(self, eta: float | None) -> dict[str, Any]:
        """For other programs: spent and, from least to most, left of the stage; at most left of those after it."""
        return {"spent": self.spent(), "left": self.left(eta), "rest": self.rest}

    def at_begin(self) -> str:
        """``train: about 6 minutes; the stages after it: at most 21 min``; empty where that is not worth a line."""
        left = self.left(None)
        if left is None or max(left.high, self.rest or 0.0) < WORTH_A_LINE:
            return ""
        return f"{self.name}: {left.sentence()}{self._after()}"

    def at_end(self) -> str:
        """``train: took 6 min; the stages after it: at most 21 min``; empty where hardly anything is left."""
        if (self.rest or 0.0) < WORTH_A_LINE:
            return ""
        return f"{self.name}: took {Span(self.spent(), self.spent()).text()}{self._after()}"

    def _after(self) -> str:
        return f"; the stages after it: at most {Span(self.rest, self.rest).text()}" if self.rest else ""


@contextmanager
def timed(name: str, fingerprint: str) -> Iterator[None]:
    """While inside, stage `name` works: what is left is said at its begin and end, and beside its progress.

    How long it took is noted at its end; if it is interrupted, how long it has worked so far on this `fingerprint`.
    """
    if name not in ORDER or not leads():
        yield
        return
    notes = _read()
    spent = notes["unfinished"].get(name, {}).get(fingerprint, 0.0)
    ahead = works(ORDER, None if name in COUNTING else count_photos())
    outlook = Outlook(name, known(notes, name, ahead[name]), _rest(notes, name, ahead), spent)
    _say(outlook.at_begin())
    try:
        with looking_ahead(outlook.live), telling(name, fingerprint, outlook.seconds):
            yield
    except BaseException:
        _note("unfinished", name, {fingerprint: outlook.spent()})
        raise
    _note("took", name, _noted(ahead[name]._replace(photos=count_photos()), [outlook.spent()] * 2))
    _say(outlook.at_end())


def note_estimate(spans: Mapping[str, tuple[float, float]], work: str = "", photos: int | None = None) -> None:
    """Note (low, high) seconds of each stage with the settings that are in the present folder now, for so many
    `photos`; and how long all stages take for some `work`, see `work_of`.
    """
    notes = _read()
    if work:
        notes["whole"][work] = [sum(span[end] for span in spans.values()) for end in (0, 1)]
    notes["estimate"] = {name: _noted(now, list(spans[name])) for name, now in works(spans, photos).items()}
    _write(notes)


def took(name: str) -> float:
    """Seconds that the stage took the last time, with those of interrupted runs; 0 if that is not known."""
    note = _read()["took"].get(name)
    return float(note["seconds"][0]) if note else 0.0


def work_of(recipe: str, root: str, photos: int) -> str:
    """The name of the work on so many photos in the folder `root` by the settings of a recipe."""
    return f"{recipe}, {photos} photos in {Path(root).absolute()}"


def foretold(work: str) -> Span | None:
    """How long all stages were to take for `work`, when its settings were made here; None if they never were."""
    found = _read()["whole"].get(work)
    return None if found is None else Span(*found)


def known(notes: Mapping[str, Any], name: str, work: Work) -> Span | None:
    """How long the stage takes for this `work`: as it did, else as was estimated; None if neither was of the same."""
    found = (notes[kind].get(name) for kind in ("took", "estimate"))
    return next((Span(*note["seconds"]) for note in found if note and work.is_that_of(note)), None)


def _rest(notes: Mapping[str, Any], name: str, ahead: Mapping[str, Work]) -> float | None:
    """Seconds of all later stages; None where one of them is not known, and where it is not DVC that runs this one."""
    if "DVC_STAGE" not in os.environ:
        return None
    spans = [known(notes, later, ahead[later]) for later in ORDER[ORDER.index(name) + 1 :]]
    return None if None in spans else sum(span.high for span in spans if span)


def _noted(work: Work, seconds: list[float]) -> dict[str, Any]:
    return {**work._asdict(), "seconds": seconds}


def _note(kind: str, name: str, value: object) -> None:
    notes = _read()
    notes["unfinished"].pop(name, None)
    notes[kind][name] = value
    _write(notes)


def _read() -> dict[str, dict[str, Any]]:
    """The notes; what is damaged in them, or of an earlier wsss, is nothing."""
    found = None
    with suppress(OSError, ValueError):
        found = json.loads(_file().read_text(encoding="utf-8"))
    found = found if isinstance(found, dict) else {}
    kinds = {kind: found.get(kind) for kind in ("took", "estimate", "whole", "unfinished")}
    notes = {kind: part if isinstance(part, dict) else {} for kind, part in kinds.items()}
    sound = {"took": _is_note, "estimate": _is_note, "whole": _is_span, "unfinished": _is_times}
    return {kind: {name: part for name, part in notes[kind].items() if sound[kind](part)} for kind in notes}


def _write(notes: Mapping[str, Any]) -> None:
    # A note that cannot be written must not end a stage that has done its work.
    with suppress(OSError, WsssError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_text(_file(), json.dumps(notes, indent=1) + "\n")


def _file() -> Path:
    return scratch_root() / NOTES


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _is_span(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_time, value))


def _is_times(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_time, value.values()))


def _is_note(value: object) -> bool:
    return isinstance(value, dict) and {*Work._fields} <= {*value} and _is_span(value.get("seconds"))


def _say(text: str) -> None:
    if text:
        say(text)
