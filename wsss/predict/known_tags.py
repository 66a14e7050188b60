"""Tags that are known of photos: the classes that their masks may show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from wsss.core.errors import UserError, raise_all
from wsss.formats.folder import match_rows, merge_rows
from wsss.formats.problems import ALL, MOST_SHOWN, shortened
from wsss.formats.raw import Listing
from wsss.formats.tagfile import read_tag_file, unknown_tags
from wsss.models.base_student import IMPROBABLE
from wsss.predict.collect import FoundPhoto
from wsss.predict.segment import Network

KnownTags = Mapping[str, tuple[int, ...]]
"""Class numbers by photo id; a photo that is not there may show anything."""


def read_known_tags(path: Path, photos: Sequence[FoundPhoto], classes: Sequence[str]) -> KnownTags:
    """The tags of those `photos` that the table `path` names; `classes`: the network's names, background first.

    Raises `UserError`, several at once, for a table with mistakes, and for a tag that is no class. Rows of other photos
    are no mistake.
    """
    problems: list[UserError] = []
    table = read_tag_file(path, problems)
    problems += unknown_tags(table, table.tags(), classes[1:], "a network that was trained with it")
    raise_all(shortened(problems, MOST_SHOWN, ALL))
    listing = Listing(path.parent, {photo.id: [photo.name] for photo in photos})
    rows, _ = match_rows(table, listing, [])
    tags = {name: merge_rows(table, found)[1] for name, found in sorted(rows.items())}
    if not tags:
        raise UserError(path, "names none of these photos", "give the table of their tags, or leave --tags out")
    return {name: tuple(sorted(classes.index(tag) for tag in found)) for name, found in tags.items()}


def fingerprint(tags: KnownTags) -> str:
    """16 hex digits: masks that were made with other tags are others."""
    return hashlib.sha256(json.dumps(tags, sort_keys=True).encode()).hexdigest()[:16]


def limited(network: Network, tags: Sequence[int]) -> Network:
    """`network`, (N, 3, H, W) → logits (N, K+1, h, w), with all classes ruled out but the background and `tags`.

    What is left of the probabilities is so renormalised in each view, before the CRF.
    """

    def run(views: torch.Tensor) -> torch.Tensor:
        logits = network(views)
        ruled_out = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
        ruled_out[[0, *tags]] = False
        return logits.masked_fill(ruled_out[:, None, None], IMPROBABLE)

    return run
