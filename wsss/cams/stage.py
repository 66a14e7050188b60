"""Stage `cams`: class activation maps of every photo, of its tagged classes, from all scales and tilings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from wsss.cams.local import local_levels, local_maps
from wsss.cams.stuff import Stuff, find_stuff
from wsss.cams.walk import walk
from wsss.core.interrupt import check_stop
from wsss.core.kept import kept
from wsss.core.log import Progress, say
from wsss.core.params import Scale, flat, unit
from wsss.core.stage import Stage
from wsss.data.batches import needs, size_batches, to_batch
from wsss.data.index import Index, Record
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos, tag_vector
from wsss.models.cam import divide_by_peak, peaks
from wsss.models.oste import Oste, load_oste
from wsss.numeric.device import device, enough_memory, set_threads
from wsss.numeric.half import InferencePrecision
from wsss.predict.multiscale import ScaleSettings
from wsss.stores.cams import FORMAT, Cams, put_cams
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer


class CamsSettings(ScaleSettings):
    """Section `cams` of params.yaml."""

    scales: tuple[Scale, ...] = Field(
        default=(0.5, 1.0, 1.5, 2.0),
        min_length=1,
        description="S of Eq (2): test-time scales that are averaged",
        json_schema_extra=unit("× the photo's size"),
    )
    output_stride: Literal[8, 16, 32] = Field(
        default=16,
        description="grid of the maps; may be finer than the training's: strides become dilation",
        json_schema_extra=unit("pixels"),
    )
    precision: InferencePrecision = Field(
        default="auto",
        validate_default=True,
        description="auto: bf16-mixed where the GPU or the processor computes in bf16, twice as fast, else 32-true",
    )
    walk: int = Field(
        default=0,
        ge=0,
        description="steps of a random walk that gives like scores to positions that look alike; 0: none",
    )
    stuff: bool = Field(
        default=False,
        description="look for classes that fill their photos, and mark what belongs to them beyond the peaks of a map; "
        "correct.method: gmm uses the marks",
    )
    floor: float = Field(
        default=0.0,
        ge=0,
        description="a class's maps begin so many standard deviations above its mean score in photos without its tag, "
        "the only background that is known; 0: where its score is 0",
    )


FLOOR_PHOTOS = 300
"""Training photos, spread evenly, that `find_floor` looks at, at most."""


def dump_cams(
    stage: Stage, index: Index, photos: Photos, network: Path, settings: CamsSettings, inference: InferenceSettings
) -> Path:
    """The CAMs of all `photos`, a store in the stage's scratch folder."""
    oste = open_oste(network, index.classes, settings)
    stuff = None
    if settings.stuff:
        set_threads(inference.threads)
        stuff = find_stuff(oste.to(device()), index, photos)
        if stuff.classes:
            say(f"{stage.name}: fill their photos: {', '.join(index.classes[number] for number in stuff.classes)}")
    floor = None
    if settings.floor:
        set_threads(inference.threads)
        floor = find_floor(oste.to(device()), index, photos, settings, inference)
    filling = " ".join(map(str, stuff.classes)) if stuff else ""
    attributes = {"stride": oste.stride, "raw": keeps_raw(oste, settings), "filling": filling, **flat(settings)}
    meta = StoreMeta(FORMAT, index.classes, attributes)
    shards = plan_shards([record.id for record in photos.records], inference.shard_size)
    # On a GPU, worker processes would each need memory for a network of their own, and gain nothing.
    arguments = (photos, network, settings, inference, stuff, floor)
    return build_store(stage, meta, shards, dump_shard, arguments, in_process=device().type != "cpu")


def open_oste(path: Path, classes: tuple[str, ...], settings: CamsSettings) -> Oste:
    """The trained network at the stride of `settings`, checked against the data set's classes; one object a process."""
    return kept(load_oste, path, classes, settings.output_stride)


def keeps_raw(oste: Oste, settings: CamsSettings) -> bool:
    """True if the maps can differ from M^MS, which is then kept beside them."""
    return oste.enhances or settings.walk > 0 or settings.floor > 0


def dump_shard(
    path: Path,
    shard: Shard,
    meta: StoreMeta,
    photos: Photos,
    network: Path,
    settings: CamsSettings,
    inference: InferenceSettings,
    stuff: Stuff | None,
    floor: np.ndarray | None,
) -> None:
    """Compute and write one shard, of `photos`."""
    set_threads(inference.threads)
    where = device()
    oste = open_oste(network, meta.classes, settings).to(where)
    with shard_writer(path, shard, meta) as file:
        for batch in size_batches(photos.records, inference.batch):
            check_stop()
            with enough_memory(*needs("cams", batch)):
                images = to_batch([photos.image(record) for record in batch], where)
                enhanced, raw, local = compute_cams(oste, images, settings)
                if floor is not None:
                    enhanced = (enhanced - torch.from_numpy(floor).to(where)[:, None, None]).relu()
            for number, record in enumerate(batch):
                before = raw[number] if keeps_raw(oste, settings) else None
                filled = None
                if stuff and set(stuff.classes) & set(record.tags):
                    filled = stuff.of([level[number] for level in local], record.tags)
                put_cams(file, record.id, present_cams(enhanced[number], before, record, filled))


def find_floor(
    network: Oste, index: Index, photos: Photos, settings: CamsSettings, inference: InferenceSettings
) -> np.ndarray:
    """(K,) float32: of each class the mean score in training photos without its tag, plus `settings.floor` standard
    deviations; 0 for a class that all of the photos have.
    """
    train = index.split("train")
    records = train[:: -(-len(train) // FLOOR_PHOTOS)]
    where = next(network.parameters()).device
    sums = torch.zeros(3, index.foreground, dtype=torch.float64)  # of positions, of scores, of their squares
    with Progress("cams: floor", len(records), "photos") as progress:
        for batch in size_batches(records, inference.batch):
            check_stop()
            with enough_memory(*needs("cams", batch)):
                images = to_batch([photos.image(record) for record in batch], where)
                scores = compute_cams(network, images, settings).enhanced.flatten(2).cpu().double()
            absent = 1 - torch.from_numpy(np.stack([tag_vector(r, index.foreground) for r in batch])).double()
            parts = torch.full_like(absent, scores.shape[-1]), scores.sum(-1), scores.square().sum(-1)
            sums += torch.stack([(absent * part).sum(0) for part in parts])
            progress.advance(len(batch))
    count, total, squares = sums[0].clamp_min(1), sums[1], sums[2]
    mean = total / count
    spread = (squares / count - mean.square()).clamp_min(0).sqrt()
    return (mean + settings.floor * spread).float().numpy()


class Maps(NamedTuple):
    """`enhanced`: M̂ of Eq (8), after the walk; `raw`: M^MS of Eq (2); (N, K, ⌈H/stride⌉, ⌈W/stride⌉) float32 ≥ 0 both.
    `local`: `local_maps` on the same grid.
    """

    enhanced: torch.Tensor
    raw: torch.Tensor
    local: list[torch.Tensor]


@torch.inference_mode()
def compute_cams(network: Oste, images: torch.Tensor, settings: CamsSettings) -> Maps:
    """The maps of `images`, (N, 3, H, W) float 0..255, averaged over the photos and their horizontal flips.

    Photos and flips of one scale are one batch, and so are all tiles of one tiling.
    """
    views = torch.cat([images, images.flip(-1)]) if settings.flip else images
    with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.precision == "bf16-mixed"):
        features = network.backbone(views)
        found = network.activations(views, features, settings.scales)
    enhanced = _unflipped(found.enhanced, settings.flip)
    levels = [_unflipped(level.float(), settings.flip) for level in features]
    local = local_maps(levels, local_levels(network.backbone.levels), (enhanced.shape[-2], enhanced.shape[-1]))
    if settings.walk:
        enhanced = walk(enhanced, local, settings.walk)
    return Maps(enhanced, _unflipped(found.multiscale, settings.flip), local)


def _unflipped(maps: torch.Tensor, flip: bool) -> torch.Tensor:
    if not flip:
        return maps
    straight, flipped = maps.chunk(2)
    return (straight + flipped.flip(-1)) / 2


def present_cams(
    cams: torch.Tensor, raw: torch.Tensor | None, record: Record, filled: np.ndarray | None = None
) -> Cams:
    """Keep the classes that the photo is tagged with, each divided by its maximum.

    `cams`, `raw`: (K, h, w) ≥ 0; `filled`: (P, h, w) bool.
    """
    classes = np.asarray(record.tags, np.int64)
    present = cams[classes - 1].float()
    return Cams(
        divide_by_peak(present).cpu().numpy(),
        peaks(present).cpu().numpy() if len(classes) else np.zeros(0, np.float32),
        classes,
        (record.height, record.width),
        None if raw is None else divide_by_peak(raw[classes - 1].float()).cpu().numpy(),
        filled,
    )
