"""The orders in which a reader may have the photos, and the number that a photo then carries on its badge."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """`key` is the script's name for it: a number of a photo, and 1 if the lowest comes first; `badge` stands before
    this number on the photo.
    """

    key: str
    label: str
    badge: str = ""


RANKED, NAMED = Order("rank 1", "as ranked"), Order("name 1", "name")
BADGES = {
    "score": ("iou", "IoU"),
    "label_score": ("label", "label IoU"),
    "disagreement": ("disagreement", "differs"),
    "coverage": ("coverage", "labelled"),
    "confidence": ("confidence", "confidence"),
}
"""By field of a photo: the script's name for the number, and what its badge says."""
ORDERS = (
    ("score", 1, "IoU, worst first"),
    ("score", -1, "IoU, best first"),
    ("label_score", 1, "IoU of the pseudo-label, worst first"),
    ("label_score", -1, "IoU of the pseudo-label, best first"),
    ("disagreement", -1, "disagreement, most first"),
    ("disagreement", 1, "disagreement, least first"),
    ("coverage", 1, "coverage of the pseudo-label, least first"),
    ("coverage", -1, "coverage of the pseudo-label, most first"),
    ("confidence", 1, "confidence, least first"),
    ("confidence", -1, "confidence, most first"),
)


def orders(known: Collection[str]) -> list[Order]:
    """The orders to choose from, by the fields that are `known` of some photo; the page comes in the first."""
    found = [
        Order(f"{BADGES[field][0]} {sign}", label, BADGES[field][1]) for field, sign, label in ORDERS if field in known
    ]
    return [RANKED, *found, NAMED]
