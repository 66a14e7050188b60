"""Dumping CAMs: every photo through the network at all scales and tilings, present classes only, shard by shard."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from wsss.core.device import device, enough_memory, set_threads
from wsss.core.interrupt import check_stop
from wsss.core.stage import Stage
from wsss.data.datasets import Photos
from wsss.data.index import Index, Record
from wsss.inference.multiscale import WholePhotoSettings, needs, size_batches, to_batch
from wsss.models.cam import divide_by_peak, peaks
from wsss.models.checkpoint import load_network
from wsss.models.oste import Oste
from wsss.stores.cams import FORMAT, Cams, put_cams
from wsss.stores.shards import Shard, StoreMeta, plan_shards, shard_writer, write_store


class CamsSettings(WholePhotoSettings):
    """Section `cams` of params.yaml; `scales` are S of Eq (2)."""

    output_stride: Literal[8, 16, 32] = Field(description="grid of the maps; may be finer than the training's")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        default="32-true", description="bf16 is faster on processors that have it, and changes bits"
    )


def dump_cams(stage: Stage, index: Index, photos: Photos, network: Path, settings: CamsSettings, out: Path) -> None:
    """Write the CAMs of all `photos` as the store `out`."""
    oste = load_oste(network, index, settings)
    attributes: dict[str, int | float | str] = {
        "stride": oste.stride,
        "raw": oste.enhances,
        "scales": " ".join(f"{scale:g}" for scale in settings.scales),
        "flip": settings.flip,
    }
    meta = StoreMeta(FORMAT, index.classes, stage.fingerprint, attributes)
    shards = plan_shards([record.id for record in photos.records], settings.shard_size)
    # Worker processes would each need the GPU's memory for a network of their own, and gain nothing.
    write_store(
        stage,
        out,
        meta,
        shards,
        dump_shard,
        (index, photos, network, settings),
        in_process=device().type == "cuda",
    )


def load_oste(path: Path, index: Index, settings: CamsSettings) -> Oste:
    """The trained network at the stride of `settings`, checked against the data set's classes."""
    oste, _ = load_network(path, "oste", index.classes, settings.output_stride)
    assert isinstance(oste, Oste)
    return oste


def dump_shard(
    path: Path,
    shard: Shard,
    meta: StoreMeta,
    index: Index,
    photos: Photos,
    network: Path,
    settings: CamsSettings,
) -> None:
    """Compute and write one shard."""
    set_threads(settings.threads)
    where = device()
    oste = load_oste(network, index, settings).to(where)
    wanted = set(shard.ids)
    records = [record for record in photos.records if record.id in wanted]
    with shard_writer(path, shard, meta) as file:
        for batch in size_batches(records, settings.batch):
            check_stop()
            with enough_memory(*needs("cams", batch)):
                images = to_batch([photos.image(record) for record in batch], where)
                enhanced, raw = compute_cams(oste, images, settings)
            for record, cams, before in zip(batch, enhanced, raw, strict=True):
                put_cams(file, record.id, present_cams(cams, before if oste.enhances else None, record))


@torch.inference_mode()
def compute_cams(network: Oste, images: torch.Tensor, settings: CamsSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """M̂ of Eq (8) and M^MS of Eq (2), averaged over the photo and its mirror image.

    `images`: (N, 3, H, W) float 0..255 → twice (N, K, ⌈H/stride⌉, ⌈W/stride⌉) float32 ≥ 0. Photos and mirror images of
    one scale are one batch, and so are all tiles of one tiling.
    """
    views = torch.cat([images, images.flip(-1)]) if settings.flip else images
    with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.precision == "bf16-mixed"):
        found = network.activations(views, network.backbone(views), settings.scales)
    return _unmirrored(found.enhanced, settings.flip), _unmirrored(found.multiscale, settings.flip)


def _unmirrored(maps: torch.Tensor, flip: bool) -> torch.Tensor:
    if not flip:
        return maps
    straight, mirrored = maps.chunk(2)
    return (straight + mirrored.flip(-1)) / 2


def present_cams(cams: torch.Tensor, raw: torch.Tensor | None, record: Record) -> Cams:
    """Keep the classes that the photo is tagged with, each divided by its maximum. `cams`, `raw`: (K, h, w) ≥ 0."""
    classes = np.asarray(record.tags, np.int64)
    present = cams[classes - 1].float()
    return Cams(
        divide_by_peak(present).cpu().numpy(),
        peaks(present).cpu().numpy() if len(classes) else np.zeros(0, np.float32),
        classes,
        (record.height, record.width),
        None if raw is None else divide_by_peak(raw[classes - 1].float()).cpu().numpy(),
    )
