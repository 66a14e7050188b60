"""Backbones that the library transformers keeps: ResNet, ConvNeXt, Swin, BEiT, DINOv2 and whatever else it calls one.

A checkpoint holds what builds the network again, so that loading one needs the library and no file of the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.core.errors import IntegrityError, UserError
from wsss.models.backbones.base import Backbone
from wsss.models.backbones.hub import (
    CONFIG,
    PREPROCESSOR,
    library,
    model_folder,
    read_json,
    shown,
    weights_files,
)
from wsss.models.backbones.hub_maps import choose, configuration, quiet, survey

IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
OF_ITS_CLASSES = ("id2label", "label2id", "num_labels", "architectures", "transformers_version", "dtype", "torch_dtype")
"""Entries of a configuration that do not change the maps."""


def read_architecture(name: str) -> dict[str, Any]:
    """What builds the backbone `name` again without its files: plain values of `config`, `mean` and `std` (0..255).

    Raises `UserError` if transformers has no backbone of that kind.
    """
    folder = model_folder(name)
    config = configuration(read_json(folder / CONFIG), name)
    plain = json.loads(config.to_json_string(use_diff=False))
    kept = {key: value for key, value in plain.items() if key not in OF_ITS_CLASSES and not key.startswith("_")}
    return {"config": kept, **_normalisation(folder)}


def build(name: str, architecture: Mapping[str, Any], output_stride: int, pretrained: bool) -> HuggingFace:
    """The backbone, with the weights of its folder or with random ones.

    Raises `UserError` for a stride that it lacks, or weights that do not belong to it.
    """
    backbone = HuggingFace(name, architecture, output_stride)
    if pretrained:
        backbone.load_pretrained(model_folder(name))
    return backbone


class HuggingFace(Backbone):
    """Levels c2 … c5 at strides 4 … 32, or b3, b6, b9, b12 of a transformer of one stride.

    Patches that are no power of two, of 14 pixels, say, see the photo resized so that each covers 16 pixels of it.
    Learned positions are interpolated to any size and stay as they were trained: that has no deterministic gradient on
    a GPU. So do tensors that no map depends on.
    """

    def __init__(self, name: str, architecture: Mapping[str, Any], output_stride: int) -> None:
        # Not of the class, as with other backbones, but there before the base reads them.
        self.mean, self.std = tuple(architecture["mean"]), tuple(architecture["std"])
        super().__init__()
        config = configuration(architecture["config"], name)
        surveyed = survey(config, config.stage_names, name)
        chosen, self.levels, self.native = choose(surveyed, name)
        self.stride = self.levels[-1].stride
        if output_stride != self.stride:
            why = "it has no dilated form" if self.native == self.stride else f"its patches have {self.native} pixels"
            what = f"found {output_stride}, expected {self.stride} for {shown(name)}: {why}"
            raise UserError(
                "backbone.output_stride", what, f"set output_stride to {self.stride}, also in train and cams"
            )
        self.used = tuple(stage.tensors for stage in survey(config, [stage.name for stage in chosen], name))
        with quiet():
            self.network: nn.Module = library().AutoBackbone.from_config(config).float()
        self._hold()

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """`(N, 3, H, W)` normalised → one map for each of `levels`; the mean continues the photo right and below."""
        height, width = x.shape[2:]
        rows, columns = ((side + self.stride - 1) // self.stride for side in (height, width))
        if columns == 1 and torch.is_autocast_enabled("cpu"):
            columns = 2  # oneDNN's bf16 convolutions for AMX give garbage for one column (torch 2.13): see `ConvNorm`
        x = F.pad(x, (0, columns * self.stride - width, 0, rows * self.stride - height))
        if self.native != self.stride:
            x = F.interpolate(x, (rows * self.native, columns * self.native), mode="bilinear", align_corners=False)
        maps = self.network(x).feature_maps
        steps = [level.stride for level in self.levels]
        return tuple(
            found[:, :, : (height + step - 1) // step, : (width + step - 1) // step]
            for found, step in zip(maps, steps, strict=True)
        )

    def up_to(self, levels: int) -> list[nn.Module]:
        """The largest modules whose tensors all belong to the first `levels` maps, or are not trained anyway."""
        needed = frozenset[str]().union(*self.used[:levels])
        held = {name for name, parameter in self.network.named_parameters() if not parameter.requires_grad}
        return list(_within(self.network, "", needed, held))

    def load_pretrained(self, folder: Path) -> None:
        """Copy the weights in `folder` into the network; its classifier's are left out."""
        files = weights_files(folder)
        try:
            with quiet():
                # Not AutoBackbone's own, which asks huggingface.co about folders, too.
                kind: Any = type(self.network)
                loaded, found = kind.from_pretrained(
                    folder,
                    config=self.network.config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    trust_remote_code=False,
                    local_files_only=True,
                    output_loading_info=True,
                )
        except Exception as error:  # transformers and safetensors have no common type for damage and misfit
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            what = f"cannot be read as the weights that {CONFIG} describes ({reason[:160]})"
            raise IntegrityError(files[0], what, "fetch the model again") from error
        missing = sorted(name for name in found["missing_keys"] if self._matters(name, loaded))
        if missing:
            some = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
            what = f"{len(missing)} tensors of the network that {CONFIG} describes are missing ({some})"
            raise UserError(files[0], what, "give the folder of a whole model")
        self.network.load_state_dict(loaded.state_dict())

    def _matters(self, name: str, loaded: nn.Module) -> bool:
        """False for tensors that no map depends on, and for a normalisation that backbones have and classifiers lack:
        it begins as the identity.
        """
        if name in dict(loaded.named_parameters()):
            tensor = loaded.get_parameter(name).detach()
            identity = "norm" in name and bool((tensor == float(name.endswith("weight"))).all())
            return any(name in tensors for tensors in self.used) and not identity
        return name.endswith(("running_mean", "running_var"))

    def _hold(self) -> None:
        """Take out of training what must not or cannot be trained."""
        used = frozenset[str]().union(*self.used)
        for name, parameter in self.network.named_parameters():
            if name not in used or "position_embeddings" in name:
                parameter.requires_grad_(False)


def _within(module: nn.Module, prefix: str, needed: Collection[str], held: Collection[str]) -> Iterator[nn.Module]:
    own = {prefix + name for name, _ in module.named_parameters()}
    if own.isdisjoint(needed):
        return
    if all(name in needed or name in held for name in own):
        yield module
        return
    for name, child in module.named_children():
        yield from _within(child, f"{prefix}{name}.", needed, held)


def _normalisation(folder: Path) -> dict[str, list[float]]:
    """`mean` and `std` of RGB in 0..255 that the model was trained with; ImageNet's if its folder does not say."""
    path = folder / PREPROCESSOR
    given: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    factor = given.get("rescale_factor", 1 / 255) if given.get("do_rescale", True) else 1.0
    chosen: dict[str, Any] = {"image_mean": (0.0,) * 3, "image_std": (1.0,) * 3}
    if given.get("do_normalize", True):
        chosen = {key: given.get(key, default) for key, default in IMAGENET.items()}
    values = {key: [value] * 3 if isinstance(value, (int, float)) else value for key, value in chosen.items()}
    numbers = [factor, *(number for value in values.values() for number in (value if len(value) == 3 else [None]))]
    sound = all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers)
    if not sound or factor <= 0 or min(values["image_std"]) <= 0:
        what = (
            f"expected three numbers image_mean and image_std, found {chosen['image_mean']} and {chosen['image_std']}"
        )
        raise IntegrityError(path, what, "fetch the model again")
    return {key.removeprefix("image_"): [number / factor for number in value] for key, value in values.items()}
