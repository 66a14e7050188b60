"""What a classifier knows of the held-out photos' tags while it is trained, and which of its states is kept.

No mask is read: average precision ranks photos by a class's score and compares that with their tags.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from wsss.core.atomic import write_text
from wsss.core.errors import IntegrityError, UserError
from wsss.core.live import note_tags
from wsss.core.log import say
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.models.checkpoint import FORMAT, VERSION, NetworkCard, read_checkpoint, save_network
from wsss.models.classifier import Classifier
from wsss.numeric.precision import average_precisions, mean_known
from wsss.training.probe import MOST_VAL, evenly, over_photos, tags_of

HELD_OUT = "val"
"""The split whose tags judge. They choose among the states of one training, so a score on them flatters a little."""
LOOKS = 5
"""How often the tags are asked during a training."""
TOLERANCE = 0.005
"""What a training that is for something else may lose of the mean."""
CHANCE = 0.1
"""A class counts as not learnt if it is less than this part of the way from guessing (its frequency) to 1."""


@dataclass(frozen=True)
class TagTable:
    """Average precision of each class on the held-out photos, (K,) each, NaN where all or none of them have it.

    `photos`: their number; `tagged`: (K,) int64 those with the tag; `guess`: the tag's frequency, which scores without
    meaning reach; `looks`: by epoch, 0 = before the training; `kept`: the epoch whose state was kept.
    """

    classes: tuple[str, ...]
    photos: int
    tagged: np.ndarray
    guess: np.ndarray
    looks: dict[int, np.ndarray]
    kept: int

    @property
    def before(self) -> np.ndarray:
        """(K,) before the training."""
        return self.looks[0]

    @property
    def after(self) -> np.ndarray:
        """(K,) of the state that was kept."""
        return self.looks[self.kept]

    @property
    def judged(self) -> bool:
        """False without a held-out photo, or if no class is in some of them and not in others."""
        return bool(self.photos) and not bool(np.isnan(self.after).all())

    @property
    def skill(self) -> np.ndarray:
        """(K,) how far each class is on the way from guessing, 0, to 1; below 0 if it is worse; NaN if not judged."""
        found: np.ndarray = (self.after - self.guess) / np.maximum(1 - self.guess, 1e-9)
        return found

    @property
    def hopeless(self) -> bool:
        """True if the classes together are hardly better than guessing. One of several may seem so by chance."""
        return self.judged and mean_known(self.skill) < CHANCE

    def unlearnt(self) -> list[int]:
        """Numbers, from 0, of the classes that are hardly better than guessing."""
        return [int(number) for number in np.flatnonzero(self.skill < CHANCE)]


@dataclass
class TagJudge:
    """Looks at the tags of the held-out photos after some epochs, and keeps each state that it has looked at.

    Call it after each epoch (`fit` does); everything it keeps lies in `folder`, where a resumed training finds it.
    """

    network: Classifier
    card: NetworkCard
    index: Index
    photos: Photos
    epochs: int
    folder: Path
    label: str
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        held = [record for record in self.index.records if record.split == HELD_OUT]
        self.records = evenly(held, MOST_VAL)
        self.folder.mkdir(parents=True, exist_ok=True)
        note_tags(self.means())

    @property
    def _notes(self) -> Path:
        return self.folder / "looks.json"

    def looks(self) -> dict[int, np.ndarray]:
        """What was seen so far, by epoch."""
        if not self._notes.exists():
            return {}
        found = json.loads(self._notes.read_text(encoding="utf-8"))
        return {int(epoch): np.array(values, np.float64) for epoch, values in found.items()}

    def means(self) -> dict[int, float]:
        """The mean over classes, by epoch."""
        return {epoch: mean_known(values) for epoch, values in self.looks().items()}

    def due(self, epoch: int) -> bool:
        """At the start, at the end, and a few times between."""
        return epoch in {round(part * self.epochs / LOOKS) for part in range(LOOKS + 1)}

    def __call__(self, epoch: int) -> None:
        """Look, if it is time. Keeps the network's mode and draws no random number."""
        if not self.records or not self.due(epoch) or (epoch == 0 and self.recall(0)):
            return
        network, training = self.network, self.network.training
        network.eval()
        where = next(network.parameters()).device
        tags = tags_of(self.records, self.index.foreground)
        label = f"{self.label}: tags"
        logits = over_photos(self.photos, self.records, lambda images: scores(network, images), where, label, False)
        network.train(training)
        found = average_precisions(tags, logits)
        save_network(self.state(epoch), network, self.card)
        # After a resumption some epochs are seen again, as they were.
        notes = {number: values.tolist() for number, values in self.looks().items()} | {epoch: found.tolist()}
        write_text(self._notes, json.dumps(dict(sorted(notes.items()))))
        note_tags(self.means())
        when = f"after {epoch} of {self.epochs} epochs" if epoch else "before training"
        say(f"{self.label}: mean AP of the tags of {len(tags)} {HELD_OUT} photos {when}: {mean_known(found):.3f}")

    def state(self, epoch: int) -> Path:
        """The network's file as it was after `epoch`."""
        return self.folder / f"{epoch:04}.pt"

    def best(self) -> int:
        """The epoch with the highest mean; the later one of equals; the last one if the tags cannot judge."""
        known = self.means()
        return max(known, key=lambda epoch: (known[epoch], epoch)) if self._can_judge(known) else self.epochs

    def last_without_loss(self) -> int:
        """The last epoch whose mean is at most `TOLERANCE` below that before the training; else the best after it."""
        known = self.means()
        if not self._can_judge(known):
            return self.epochs
        before = known.pop(0)
        fine = [epoch for epoch, value in known.items() if value >= before - TOLERANCE]
        return max(fine) if fine else max(known, key=lambda epoch: (known[epoch], epoch))

    @staticmethod
    def _can_judge(known: dict[int, float]) -> bool:
        return bool(known) and not any(math.isnan(value) for value in known.values())

    def recall(self, epoch: int) -> bool:
        """Restore what an interrupted run saw after `epoch`; False if it saw nothing, or its file is damaged."""
        if epoch not in self.looks():
            return False
        try:
            self.restore(epoch)
        except (UserError, IntegrityError):
            return False
        return True

    def restore(self, epoch: int) -> None:
        """Put the state after `epoch` back into the network; the last one is there already."""
        if epoch != self.epochs:
            state = read_checkpoint(self.state(epoch), FORMAT, VERSION)["state"]
            self.network.load_state_dict(state)

    def table(self, kept: int) -> TagTable:
        """All that was seen; `kept`: the epoch whose state was chosen."""
        tags = tags_of(self.records, self.index.foreground)
        nothing = np.full(self.index.foreground, np.nan)
        guess = tags.mean(0) if len(tags) else nothing
        looks = self.looks() or {0: nothing, kept: nothing}
        return TagTable(self.index.classes[1:], len(tags), tags.sum(0), guess, looks, kept)


def scores(network: Classifier, images: torch.Tensor) -> torch.Tensor:
    """Class logits of whole photos by one pass of the backbone: an OSTE's forward would compute far more."""
    return network.logits(network.backbone(images)[-1])
