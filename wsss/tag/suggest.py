"""Suggestions while one tags: a linear probe of the frozen backbone, fitted again as more photos are tagged.

A thread of its own looks at all photos; the page can be used meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wsss.core.errors import WsssError
from wsss.core.system import cores
from wsss.tag.doubt import held_out
from wsss.tag.session import Session, Tags
from wsss.tag.similar import like, walk

FIRST, AGAIN = 30, 10
"""Photos that must be tagged for the first suggestions; steps after which they are made again."""
PAUSE = 0.5
"""Seconds between two looks at whether something new was tagged."""
LIKELY = 0.5
"""Probability from which a class is suggested."""
UNSURE = 0.2
"""A photo without tags is doubtful where a class has a probability between this and 1 - this."""
SIDE = 320
"""Longer side in pixels that photos are looked at, as the recipe `quick` does."""

Look = Callable[[Path], np.ndarray]
"""The path of a photo → its features (C,) float32. Raises `WsssError` if it cannot be read."""


@dataclass(frozen=True)
class Hints:
    """`likely`: by photo without tags, the classes with a probability of at least `LIKELY`, the most probable first;
    `doubtful`: photos to look at, the most doubtful first. `version` grows.
    """

    version: int = 0
    likely: dict[int, list[tuple[str, float]]] = field(default_factory=dict)
    doubtful: list[int] = field(default_factory=list)


class Suggestions:
    """Features of a session's photos, and what follows from them. `begin` starts the thread, `end` stops it."""

    def __init__(self, session: Session, looking: Callable[[], Look] | None = None) -> None:
        """`looking` makes the function that gives features; by default the backbone of the recipe `quick` does."""
        self.session = session
        self.hints = Hints()
        self.seen = 0
        self.failed = ""
        self._looking = looking or backbone_look
        self._rows: dict[int, np.ndarray] = {}
        self._walk: list[int] = []
        self._fitted = -AGAIN
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="suggestions", daemon=True)

    def begin(self) -> None:
        """Start to look at photos."""
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait for the photo or the class that is being worked on."""
        self._stop.set()
        self._thread.join(timeout=10)

    @property
    def ready(self) -> bool:
        """True once the walk through similar photos is known."""
        return bool(self._walk)

    def alike(self) -> list[int]:
        """All photos, similar ones together; those that could not be read come last."""
        return self._with_rest(self._walk)

    def like(self, number: int) -> list[int]:
        """All photos, those like `number` first; those that were not looked at yet come last."""
        rows = dict(self._rows)
        if number not in rows:
            return self._with_rest([number])
        known = list(rows)
        order = like(np.stack([rows[each] for each in known]), known.index(number))
        return self._with_rest([known[each] for each in order])

    def _with_rest(self, order: Sequence[int]) -> list[int]:
        there = set(order)
        return [*order, *(number for number in range(len(self.session.photos)) if number not in there)]

    def _run(self) -> None:
        try:
            look = self._looking()
            for number, photo in enumerate(self.session.photos):
                if self._stop.is_set():
                    return
                with suppress(WsssError):  # the page shows which one is damaged
                    self._rows[number] = look(self.session.folder / photo.image)
                self.seen += 1
                self._refresh()
            if self._rows:
                known = list(self._rows)
                self._walk = [known[each] for each in walk(np.stack(list(self._rows.values())))]
            self._fitted -= AGAIN  # once more, now for all photos
            while not self._stop.is_set():
                self._refresh()
                self._stop.wait(PAUSE)
        except WsssError as error:
            self.failed = f"{error.what}; {error.fix}"
        except Exception as error:  # suggestions are a help: tagging goes on without them, and the page says why
            self.failed = f"{type(error).__name__}: {error}"

    def _refresh(self) -> None:
        """Fit the probe again if enough is new."""
        version = self.session.version
        if version - self._fitted < AGAIN:
            return
        tags, rows, names = self.session.tags(), dict(self._rows), tuple(self.session.classes.names)
        if names and sum(tags[number] is not None for number in rows) >= FIRST:
            self._fitted = version
            self.hints = hints_of(rows, tags, names, self.hints.version + 1)


def hints_of(rows: dict[int, np.ndarray], tags: Sequence[Tags], names: Sequence[str], version: int) -> Hints:
    """What the photos that have tags say of the others. `rows`: features (C,) by photo; `tags`: of all photos."""
    from wsss.training.probe import fit_probe

    known = [number for number in rows if tags[number] is not None]
    features = np.stack([rows[number] for number in known])
    present = np.array([[name in (tags[number] or ()) for name in names] for number in known], bool)
    probe = fit_probe(features, present)
    numbers = list(rows)
    logits = np.stack([rows[number] for number in numbers]) @ probe.weight.T + probe.bias
    probabilities = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    unseen = dict(zip(known, held_out(features, present), strict=True))
    # A class that all or none of these photos have was not learnt: its frequency is nothing to suggest.
    learnt = present.any(0) & ~present.all(0)
    likely: dict[int, list[tuple[str, float]]] = {}
    doubt: dict[int, float] = {}
    for number, row in zip(numbers, probabilities, strict=True):
        own = tags[number]
        row = np.where(learnt, row, 0)
        if own is None:
            order = [k for k in np.argsort(-row) if row[k] >= LIKELY]
            likely[number] = [(names[k], round(float(row[k]), 3)) for k in order]
            unsure = float(np.minimum(row, 1 - row).max())
            if unsure > UNSURE:
                doubt[number] = unsure
        else:
            gap = np.abs(unseen[number] - np.array([name in own for name in names]))
            wrong = float(np.nan_to_num(gap).max())
            if wrong > LIKELY:
                doubt[number] = wrong
    doubtful = sorted(doubt, key=lambda number: (-doubt[number], number))
    return Hints(version, {number: found for number, found in likely.items() if found}, doubtful)


def backbone_look() -> Look:
    """Features by the backbone of the recipe `quick`, with its ImageNet weights: as the classifier will see photos."""
    import torch

    from wsss.data.batches import to_batch
    from wsss.models.backbones.registry import BackboneSettings, build_backbone
    from wsss.models.classifier import Classifier
    from wsss.numeric.device import device
    from wsss.tag.pictures import read_small
    from wsss.training.probe import pooled

    torch.set_num_threads(max(1, cores() - 1))  # one is left to the page
    where = device()
    network = Classifier(build_backbone(BackboneSettings()), 1, 0.0).to(where).eval()

    def look(path: Path) -> np.ndarray:
        with torch.inference_mode():
            found = pooled(network, to_batch([read_small(path, SIDE)], where))
        return np.asarray(found[0].float().cpu().numpy())

    return look
