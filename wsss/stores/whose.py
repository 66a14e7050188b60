"""Whose the labels of a store are that was imported: a person's, a network's, those of another method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsss.core.words import counted
from wsss.data.origins import FROM_LABELS, FROM_NETWORK
from wsss.stores.cams import MAPS_BY
from wsss.stores.labels import BY_HAND

MADE_BY = "made_by"
"""Attribute of a store: the names of the methods that have made labels of it, which no person has."""
BY_METHODS = "made_by_photos"
"""Attribute beside it: of how many photos. The others of `FROM_LABELS` are from other stores."""


def whose(attributes: Mapping[str, Any]) -> dict[str, int]:
    """By words for it, as `corrected by hand` or `by otsu`, how many photos of a store with these `attributes` have
    labels that the pipeline did not make there; empty where the store does not say.
    """
    words = {BY_HAND: "corrected by hand", FROM_NETWORK: "taken from a network's masks"}
    found = {text: int(attributes[mark]) for mark, text in words.items() if mark in attributes}
    others, methods = int(attributes.get(FROM_LABELS, 0)), by_methods(attributes)
    if methods:
        found[f"by {attributes[MADE_BY]}"] = methods
    if others > methods:
        found["from other labels"] = others - methods
    return found


def by_methods(attributes: Mapping[str, Any]) -> int:
    """Of how many photos the labels of a store are those of the methods in `MADE_BY`."""
    return int(attributes.get(BY_METHODS, attributes.get(FROM_LABELS, 0))) if MADE_BY in attributes else 0


def of_maps(attributes: Mapping[str, Any]) -> str:
    """``made of CAMs by seam``, where the store says that its labels were made of imported maps, and by which method;
    of the others, where `whose` knows of some; else empty.
    """
    others = "the others " if whose(attributes) else ""
    return f"{others}made of CAMs by {attributes[MAPS_BY]}" if MAPS_BY in attributes else ""


def whose_text(attributes: Mapping[str, Any]) -> str:
    """``2 photos corrected by hand, 3 photos by otsu``, and what `of_maps` says; or nothing."""
    counts = [f"{counted(many, 'photo')} {words}" for words, many in whose(attributes).items()]
    return ", ".join(filter(None, [*counts, of_maps(attributes)]))
