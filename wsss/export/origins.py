"""The origin of each exported label map, through all that stands between the writers and its store."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from wsss.data.origins import FROM_NETWORK, HAND, LABELS, NETWORK, Origin, digest
from wsss.export.labels import Labels
from wsss.export.predicted import Predicted
from wsss.stores.labels import BY_HAND, LabelStore, PredictionStore


@runtime_checkable
class Passing(Protocol):
    """Labels that come from others."""

    def giver(self, name: str) -> Labels:
        """The labels that the label map of photo `name` is taken from."""
        ...


def origin(labels: Labels, name: str, written: np.ndarray) -> Origin:
    """Of the label map of photo `name`, which is exported as `written`."""
    given = _giver(labels, name)
    return Origin(_kind(given, name), str(given.path), digest(written))


def edited(labels: Labels) -> list[str]:
    """Ids of the photos whose mask a person has changed in the folder of predictions that it is taken from."""
    givers = {name: _giver(labels, name) for name in labels.ids}
    return [name for name, given in givers.items() if isinstance(given, Predicted) and given.edited(name)]


def _giver(labels: Labels, name: str) -> Labels:
    while isinstance(labels, Passing):
        labels = labels.giver(name)
    return labels


def _kind(labels: Labels, name: str) -> str:
    if isinstance(labels, Predicted) and (labels.edited(name) or labels.corrected(name)):
        return HAND
    if isinstance(labels, (Predicted, PredictionStore)):
        return NETWORK
    if not isinstance(labels, LabelStore):
        return LABELS
    attributes = labels.group(name).attrs
    return HAND if BY_HAND in attributes else NETWORK if FROM_NETWORK in attributes else LABELS
