"""What is known of a network that makes masks, in a few words: its file, its data set, its scores, who made it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from wsss.core.errors import WsssError
from wsss.core.records import read_made
from wsss.core.stage import hash_input
from wsss.core.words import counted
from wsss.export.provenance import Provenance, find_provenance
from wsss.formats.problems import some
from wsss.predict.own_run import STUDENT
from wsss.predict.segmenting import load_segmenting, network_sha256

TRAIN = "train"
UNMASKED = "none: no photo that it was evaluated on has a mask"


def known_network(called: str, model: Path, root: Path | None, photos: Collection[str] = ()) -> dict[str, Any]:
    """Of the network in `model`, which the user has `called` so; `root`: the project whose student it is, if any;
    `photos`: SHA-256 of those whose masks it has made.

    What cannot be told is left out, and `unknown` says why. Raises `OSError` where `model` cannot be read.
    """
    found: dict[str, Any] = {"file": called, "sha256": network_sha256(model)}
    source = model if model.suffix == ".pt" else None if root is None else root / STUDENT
    if source is None:
        return found | {"unknown": "data set and scores: the run that trained it is not here"}
    if source != model:
        found["exported of"] = str(source)
    try:
        card = load_segmenting(source)[1]
        known = find_provenance(source, card)
        made = read_made(hash_input(source), source)
    except WsssError as error:
        return found | {"unknown": f"data set and scores: {error.where}: {error.what}"}
    found |= _data_set(known) | _scores(known, card.kind) | _trained_on(known, photos)
    if made is not None:
        found["made"] = f"by stage {made.stage} at {made.time}, commit {made.commit or 'of no checkout'}"
    return found | ({"unknown": f"scores or settings: {known.gap}"} if known.gap else {})


def _data_set(known: Provenance) -> dict[str, str]:
    if known.index is None:
        return {}
    root = str((known.settings.get("dataset") or {}).get("root", ""))
    photos = " and ".join(f"{len(known.index.split(split))} {split}" for split in known.index.splits())
    names = known.index.classes[1:]
    return {"data set": f"{root + ': ' if root else ''}{photos} photos of {some(names)}"}


def _trained_on(known: Provenance, photos: Collection[str]) -> dict[str, str]:
    """How many of `photos` the network has learned from: by their bytes, wherever they lie."""
    if known.index is None or not photos:
        return {}
    learned = {record.sha256 for record in known.index.records if record.split == TRAIN}
    count = sum(each in learned for each in photos)
    proves = f" (split {TRAIN}): {'its mask proves' if count == 1 else 'their masks prove'} nothing of other photos"
    return {"trained on": f"{count} of these {counted(len(photos), 'photo')}{proves if count else ''}"}


def _scores(known: Provenance, kind: str) -> dict[str, str]:
    """Of the last row of the network on each split: as it was evaluated."""
    if not known.sources and not known.gap:
        return {"scores": UNMASKED}
    rows = {row["split"]: row for row in known.sources if row["source"].partition(" ")[0] == kind and row["miou"]}
    words = [
        f"mIoU {100 * float(row['miou']):.2f} % ({row['source']}) on the masks of "
        f"{counted(int(row['images']), f'{split} photo')}, "
        f"{'with' if row.get('tags_used') == 'yes' else 'without'} their tags"
        for split, row in rows.items()
    ]
    return {"scores": "; ".join(words)} if words else {}
