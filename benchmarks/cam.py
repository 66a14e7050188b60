"""Rows `cam` and `artifact`: dumping CAMs as the stage does it, against the loop that most public code runs.

The reference takes one photo, scale, tile and mirror image at a time through the same weights, written as a
plain float32 network (padding, convolution, BatchNorm), and pickles full-resolution float32 maps. Ours runs as the
stage does, from the start of its worker processes to the published files, with `precision: bf16-mixed`.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks.timing import Result, alternate
from wsss.cams.stage import CamsSettings, dump_cams
from wsss.core.errors import UserError
from wsss.core.folders import publish
from wsss.core.stage import Stage
from wsss.data.index import Index
from wsss.data.inference import InferenceSettings
from wsss.data.photos import Photos
from wsss.formats.build import build_index
from wsss.formats.settings import DatasetSettings
from wsss.models.backbones.base import Backbone, ConvNorm
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.cam import activate
from wsss.models.checkpoint import OSTE, NetworkCard, save_network
from wsss.models.expansion import join_tiles, merge_maps, pad_to_multiple, split_tiles
from wsss.models.oste import Oste, build_oste, load_oste
from wsss.numeric.device import device
from wsss.stores.cams import CamStore

PHOTOS = 24
EXPANSION = {"tilings": [2, 4], "merge": "mean", "cls": "merged"}
FUSION = {
    "levels": ["c3", "c4", "c5"],
    "grid": "coarsest",
    "channels": 128,
    "tied": True,
    "g": "mean",
    "loss": "ecr",
    "hardest": 0.2,
}
SCALES = (0.5, 1.0, 1.5, 2.0)
DATA = Path(os.environ.get("WSSS_BENCH_DATA", "../shared/data/msrc_v2"))
SETTINGS = CamsSettings(scales=SCALES, precision="bf16-mixed")
INFERENCE = InferenceSettings(shard_size=16)


def run() -> list[Result]:
    """Real photos, EfficientNet-Lite0 at stride 16, 4 scales, mirrored; the plain CAM and the whole OSTE dump."""
    index, photos = real_photos()
    results = []
    for name, modules in (("plain CAM", False), ("OSTE: tilings 2 and 4, fusion", True)):
        with tempfile.TemporaryDirectory() as folder:
            results += _measure(index, photos, Path(folder), name, modules)
    return results


def _measure(index: Index, photos: Photos, folder: Path, name: str, modules: bool) -> list[Result]:
    torch.manual_seed(0)
    backbone = BackboneSettings(name="efficientnet_lite0", output_stride=16, weights="imagenet")
    settings = {"dropout": 0.0, "channels": 256, "norm": "group", "expansion": EXPANSION, "fusion": FUSION}
    for part in ("expansion", "fusion"):
        settings[part] = {**settings[part], "enabled": modules}  # type: ignore[dict-item]
    card = NetworkCard(OSTE, backbone, settings, index.classes, "imagenet")
    save_network(folder / "network.pt", build_oste(card, load_weights=True), card)
    network, _ = load_oste(folder / "network.pt", index.classes)
    plain = plain_network(network).to(device())

    def ours() -> None:
        stage = Stage("cams", "benchmark", folder / "scratch")
        publish(dump_cams(stage, index, photos, folder / "network.pt", SETTINGS, INFERENCE), folder / "cams")

    def reference() -> None:
        one_at_a_time(plain, photos, folder / "peers")

    timing = alternate(ours, reference, repeats=3, warm_up=False)
    correlation = _correlation(folder, photos)
    quality = {"correlation": correlation, "photos_per_s": PHOTOS / timing.ours, "precision": SETTINGS.precision}
    cam = timing.row("cam", f"{name}: one photo, scale, tile and flip at a time", 2.5, quality)
    size, reference_size = (
        sum(file.stat().st_size for file in (folder / part).iterdir()) / PHOTOS for part in ("cams", "peers")
    )
    artifact = Result(
        "artifact",
        f"{name}: pickled full-resolution float32",
        None,
        None,
        reference_size / size,
        100.0,
        {"bytes": size, "reference_bytes": reference_size},
    )
    return [cam, artifact]


def plain_network(network: Oste) -> Oste:
    """The same weights as a network is usually written. Changes `network`, raises nothing."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.__class__ = _PlainConvNorm
    network.backbone.__class__ = type("Plain", (_PlainInput, type(network.backbone)), {})
    return network.eval()


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


@torch.no_grad()
def one_at_a_time(network: Oste, photos: Photos, out: Path) -> None:
    """The loop of the peers, from its description; with OSTE's modules, each tile by itself too."""
    out.mkdir(exist_ok=True)
    for record in photos.records:
        with Image.open(photos.root / record.image) as opened:
            photo = opened.convert("RGB")
        total = sum(_one_view(network, photo, mirrored) for mirrored in (False, True))
        assert isinstance(total, torch.Tensor)
        present = total[0, [tag - 1 for tag in record.tags]].cpu()
        present /= present.amax((1, 2), keepdim=True) + 1e-5
        with (out / f"{record.id}.pickle").open("wb") as file:
            pickle.dump({"keys": np.asarray(record.tags), "high_res": present.numpy()}, file)


def _one_view(network: Oste, photo: Image.Image, mirrored: bool) -> torch.Tensor:
    """M̂ of one photo or its mirror image at full size, mirrored back. (1, K, H, W)."""
    where, (width, height) = device(), photo.size

    def view(size: tuple[int, int]) -> torch.Tensor:
        array = np.asarray(photo.resize(size, Image.Resampling.BICUBIC), np.float32)
        return torch.from_numpy(array[:, ::-1].copy() if mirrored else array).permute(2, 0, 1)[None].to(where)

    grid = (-(-height // network.stride), -(-width // network.stride))
    enhances = network.enhances
    # With modules everything meets on the grid that fusion works on, else at full size as usual.
    common = grid if enhances else (height, width)
    cams = torch.stack(
        [
            activate(network.maps(view((round(width * scale), round(height * scale))).contiguous()), common)
            for scale in SCALES
        ]
    ).mean(0)
    if enhances:
        image = view((width, height)).contiguous()
        tilings = []
        for n in network.expansion.tilings:
            padded, _ = pad_to_multiple(image, n * network.stride)
            tiles = [network.maps(tile[None].contiguous()) for tile in split_tiles(padded, n)]
            tilings.append(activate(join_tiles(torch.cat(tiles), n)[..., : grid[0], : grid[1]], grid))
        merged = merge_maps(tilings, network.expansion.merge)
        cams = network.enhance(network.backbone(image), merged, cams)
    cams = activate(cams, (height, width))
    return cams.flip(-1) if mirrored else cams


def real_photos() -> tuple[Index, Photos]:
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
