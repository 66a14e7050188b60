"""Rows `cam` and `artifact`: dumping CAMs as the stage does it, against the loop that most public code runs.

The reference takes one photo, one scale and one mirror image at a time through the same weights, written as a plain
network (padding, convolution, BatchNorm), brings every map to full size, and pickles full-resolution float32 maps.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from benchmarks.timing import Result, alternate
from wsss.core.device import device
from wsss.core.errors import UserError
from wsss.core.stage import Stage
from wsss.data.datasets import Photos
from wsss.data.index import Index
from wsss.formats.build import build_index
from wsss.formats.settings import DatasetSettings
from wsss.inference.cams import CamsSettings, dump_cams
from wsss.models.backbones.base import Backbone, ConvNorm
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, build_network, save_network
from wsss.models.classifier import Classifier
from wsss.stores.cams import CamStore

PHOTOS = 64
SCALES = (0.5, 1.0, 1.5, 2.0)
DATA = Path(os.environ.get("WSSS_BENCH_DATA", "../shared/data/msrc_v2"))
SETTINGS = CamsSettings(
    output_stride=16, scales=SCALES, flip=True, batch=8, threads=1, shard_size=16, precision="bf16-mixed"
)


def run() -> list[Result]:
    """64 real photos, EfficientNet-Lite0 at stride 16, 4 scales, mirrored; both write their results."""
    index, photos = _photos()
    torch.manual_seed(0)
    backbone = BackboneSettings(name="efficientnet_lite0", output_stride=16, weights="imagenet")
    card = NetworkCard("classifier", backbone, {"dropout": 0.0}, index.classes, "imagenet")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_network(folder / "network.pt", build_network(card, load_weights=True), card)
        network = build_network(card, load_weights=False)
        network.load_state_dict(torch.load(folder / "network.pt", weights_only=True)["state"])
        assert isinstance(network, Classifier)
        plain = plain_network(network).to(device())

        def ours() -> None:
            stage = Stage("cams", "benchmark", folder / "scratch")
            dump_cams(stage, index, photos, folder / "network.pt", SETTINGS, folder / "cams")

        def reference() -> None:
            one_at_a_time(plain, photos, folder / "peers")

        seconds, reference_seconds = alternate(ours, reference, warm_up=False)
        size = sum(file.stat().st_size for file in (folder / "cams").iterdir())
        reference_size = sum(file.stat().st_size for file in (folder / "peers").iterdir())
        quality = {"correlation": _correlation(folder, photos), "photos_per_s": PHOTOS / seconds}
    cam = Result(
        "cam", "one photo, scale and flip at a time", seconds, reference_seconds, reference_seconds / seconds, 2.5
    )
    artifact = Result("artifact", "pickled full-resolution float32", None, None, reference_size / size, 100.0)
    return [
        Result(**{**cam.__dict__, "quality": quality}),
        Result(
            **{**artifact.__dict__, "quality": {"bytes": size / PHOTOS, "reference_bytes": reference_size / PHOTOS}}
        ),
    ]


def plain_network(classifier: Classifier) -> nn.Module:
    """The same weights as a network is usually written; (N, 3, H, W) → class maps. Raises nothing, changes a copy."""
    for module in classifier.modules():
        if isinstance(module, ConvNorm):
            module.__class__ = _PlainConvNorm
    classifier.backbone.__class__ = type("Plain", (_PlainInput, type(classifier.backbone)), {})
    return _Maps(classifier.eval())


class _Maps(nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier.maps(images)


class _PlainInput(Backbone):
    """Contiguous input, as a data loader gives it."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.features((images - self._mean) / self._std)


class _PlainConvNorm(ConvNorm):
    """TensorFlow's SAME padding as an operation of its own, then convolution, then BatchNorm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        conv = self.conv
        if not self.same:
            return self.bn(conv(x))
        before = [(conv.kernel_size[0] - 1) // 2 - (1 - side % 2) for side in x.shape[-2:]]
        after = [(conv.kernel_size[0] - 1) // 2 for _ in before]
        x = F.pad(x, (before[1], after[1], before[0], after[0]))
        return self.bn(F.conv2d(x, conv.weight, None, conv.stride, 0, conv.dilation, conv.groups))


def one_at_a_time(network: nn.Module, photos: Photos, out: Path) -> None:
    """The loop of the peers, from its description."""
    out.mkdir(exist_ok=True)
    where = device()
    for record in photos.records:
        total = torch.zeros(len(record.tags), record.height, record.width)
        with Image.open(photos.root / record.image) as opened:
            photo = opened.convert("RGB")
        for scale in SCALES:
            size = (round(record.width * scale), round(record.height * scale))
            array = np.asarray(photo.resize(size, Image.Resampling.BICUBIC), np.float32)
            for mirrored in (False, True):
                view = torch.from_numpy(array[:, ::-1].copy() if mirrored else array).permute(2, 0, 1)[None].to(where)
                with torch.no_grad():
                    maps = network(view.contiguous())[:, [tag - 1 for tag in record.tags]].relu()
                    maps = F.interpolate(maps, (record.height, record.width), mode="bilinear", align_corners=False)
                total += (maps.flip(-1) if mirrored else maps)[0].cpu()
        total /= total.amax((1, 2), keepdim=True) + 1e-5
        with (out / f"{record.id}.pickle").open("wb") as file:
            pickle.dump({"keys": np.asarray(record.tags), "high_res": total.numpy()}, file)


def _photos() -> tuple[Index, Photos]:
    if not DATA.is_dir():
        raise UserError(
            DATA, "no photos to measure on", "set WSSS_BENCH_DATA to a data set in VOC layout with tags.csv"
        )
    settings = DatasetSettings(root=str(DATA), format="voc", classes="classes.txt", allow_untagged=True)
    index = build_index(settings, seed=0).index
    records = [record for record in index.split("train") if record.tags][:PHOTOS]
    return index, Photos(DATA, settings.max_megapixels, records)


def _correlation(folder: Path, photos: Photos) -> float:
    """Mean correlation of our maps with the reference's, brought to our grid."""
    store, values = CamStore(folder / "cams"), []
    for record in photos.records:
        ours = store.read(record.id).scores
        with (folder / "peers" / f"{record.id}.pickle").open("rb") as file:
            full = torch.from_numpy(pickle.load(file)["high_res"])[None]  # noqa: S301 -- written by this process
        theirs = F.interpolate(full, ours.shape[-2:], mode="area")[0].numpy()
        values += [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs, strict=True)]
    return float(np.mean(values))
