"""The paper's Fig. 11 for any photos: photo · raw CAM · + location expansion · + fusion · pseudo-label."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from experiments.sheet import below, beside, save, titled
from wsss.cams.stage import CamsSettings, open_oste
from wsss.core.errors import UserError
from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.data.batches import to_batch
from wsss.data.index import Record, read_index
from wsss.data.palette import display_palette
from wsss.data.photos import Location
from wsss.data.render import fit, heat_overlay, label_overlay
from wsss.data.size import fit_label
from wsss.models.cam import divide_by_peak
from wsss.models.oste import Oste
from wsss.stores.labels import PseudoStore

WIDTH = 240
TITLES = ("Photo", "Raw CAM", "+ expansion", "+ fusion", "Pseudo-label")


class Params(Settings):
    """What this picture reads of params.yaml."""

    dataset: Location
    cams: CamsSettings


@stage_command
@click.argument("ids", nargs=-1, required=True)
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset")
@click.option("--network", type=click.Path(path_type=Path), default="artifacts/oste.pt")
@click.option("--pseudo", type=click.Path(path_type=Path), default="artifacts/pseudo")
@click.option("--out", type=click.Path(path_type=Path), default="reports/modules.png")
def main(params: Path, ids: tuple[str, ...], dataset: Path, network: Path, pseudo: Path, out: Path) -> str:
    """Draw one row for each of the photos IDS (ids as in artifacts/dataset/index.csv)."""
    settings = load(params, Params)
    index = read_index(dataset)
    oste, labels = open_oste(network, index.classes, settings.cams), PseudoStore(pseudo)
    records = {record.id: record for record in index.records}
    if missing := [name for name in ids if name not in records]:
        raise UserError(dataset, f"no photo {missing[0]!r}", "give ids of index.csv")
    photos = settings.dataset.photos(index.records)
    rows = []
    for name in ids:
        image = photos.image(records[name])
        small, label = fit(image, WIDTH), labels.label(name)
        overlays = [heat_overlay(small, heat) for heat in stages_of(oste, image, records[name], settings.cams)]
        overlays.append(label_overlay(small, fit_label(label, small.shape), display_palette()))
        rows.append(beside(titled(TITLES, [small, *overlays])))
    save(below(rows), out)
    return f"figure: {len(rows)} photos (photo · raw CAM · + expansion · + fusion · pseudo-label) → {out}"


@torch.inference_mode()
def stages_of(oste: Oste, image: np.ndarray, record: Record, settings: CamsSettings) -> list[np.ndarray]:
    """Three heat maps (h, w) in [0, 1]: M^MS, M^MS + M^merge, M̂; the strongest tag of `record` at each place."""
    views = to_batch([image], torch.device("cpu"))
    features = oste.backbone(views)
    found = oste.activations(views, features, settings.scales)
    merged = found.multiscale if found.merged is None else found.multiscale + found.merged
    present = [tag - 1 for tag in record.tags]
    return [divide_by_peak(maps[0, present]).amax(0).numpy() for maps in (found.multiscale, merged, found.enhanced)]


if __name__ == "__main__":
    main()
