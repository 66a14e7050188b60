"""Classes that a verdict doubts: a sentence about them. No photo is named for one, or all that show it would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wsss.formats.problems import some

LISTED = 20
"""Classes that a line names; the rest are counted."""


@dataclass(frozen=True)
class Doubted:
    """What a verdict calls the classes that it doubts, by their names, the worst first; `source`: the folder of its
    reports.
    """

    words: Mapping[str, str]
    source: str

    @property
    def text(self) -> str:
        """For a terminal or a page: ``classes that the verdict (reports) calls doubtful: cow; less sure: bird (…)``"""
        words = dict.fromkeys(self.words.values())
        called = (f"{word}: {some((k for k, v in self.words.items() if v == word), LISTED)}" for word in words)
        each = "look at some photos of each, as no photo is named for its class"
        return f"classes that the verdict ({self.source}) calls {'; '.join(called)} ({each})"
