"""The verdict as plain values: its headline, its reasons, and what may be done."""

from __future__ import annotations

from dataclasses import dataclass

from wsss.report.agreed import Agreed, agreed_lines

FINE = ("usable", "usable as a first draft")
"""Headlines of a verdict whose reasons a reader may leave closed."""


@dataclass(frozen=True)
class Step:
    """What may be done, and the command that does it."""

    what: str
    command: str


@dataclass(frozen=True)
class Verdict:
    """`headline`: usable, usable as a first draft, usable in part, or not usable; `reasons`: why, and what to do.

    `bad`: not usable, or student and labels agree on less than half; `weak`: classes that are not learnt or doubtful;
    `steps`: what to do now; `agreed`: the agreement by class; `labels`: the folder of `artifacts` with labels that
    scored better than the student on masks, if some did; `longer`: whether a longer training may help; `warning`: why
    the score on masks decides nothing, or is to be distrusted, if so; `by_masks`: whether masks had a say; `classes`:
    what the masks of each are good for, in one line.
    """

    headline: str
    reasons: tuple[str, ...]
    bad: bool = False
    weak: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    agreed: tuple[Agreed, ...] = ()
    labels: str = ""
    longer: bool = False
    warning: str = ""
    by_masks: bool = True
    classes: str = ""

    @property
    def fine(self) -> bool:
        """Whether nothing has to be read before the masks are used."""
        return self.headline in FINE

    @property
    def text(self) -> str:
        """For a terminal."""
        first = filter(None, (self.warning, self.classes))
        lines = (*first, *self.reasons, *agreed_lines(self.agreed))
        return "\n".join([f"verdict: {self.headline}", *(f"  {line}" for line in lines)])
