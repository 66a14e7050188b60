"""Pretrained weights from files: what is in them, and whether it fits a backbone."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from wsss.core.errors import IntegrityError, UserError
from wsss.models.backbones.base import Backbone
from wsss.models.backbones.mxnet_params import read_resnet38

FETCH = "fetch the file again, and compare its checksum with the source's"
CONTAINERS = ("state_dict", "model")
"""Where training scripts put the state dict beside epoch and optimiser."""


def load_weights(backbone: Backbone, name: str, path: Path) -> None:
    """Copy the file's tensors into `backbone`, all or none of them; `name` is for the message.

    Left out: the ImageNet classifier, and BatchNorm's counters of batches, which some files lack and which
    matter only to a BatchNorm without momentum.
    """
    counter = "num_batches_tracked"
    state = {key: tensor for key, tensor in backbone.state_dict().items() if not key.endswith(counter)}
    own = {backbone.pretrained_key(key): tensor for key, tensor in state.items()}
    ignored = (backbone.classifier_prefix,) if backbone.classifier_prefix else ()
    given = {
        key: tensor
        for key, tensor in read_tensors(path).items()
        if not key.startswith(ignored) and not key.endswith(counter)
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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their public names; `.params`, `.safetensors`, and any other as torch's `.pth`.

    Raises `IntegrityError` if the file is damaged or not what its suffix says, `UserError` if it holds other things.
    """
    match path.suffix.lower():
        case ".params":
            return read_resnet38(path)
        case ".safetensors":
            return safe_tensors(path.read_bytes(), path, FETCH)
    return _read_pth(path)


def safe_tensors(data: bytes, path: Path, fix: str) -> dict[str, Tensor]:
    """The tensors by name in the bytes of the `.safetensors` file `path`. Raises `IntegrityError` with `fix`."""
    try:
        return load(data)
    except (SafetensorError, *_DAMAGE) as error:
        reason = str(error).removeprefix("Error while deserializing: ")[:120]
        raise IntegrityError(path, f"truncated, or not a .safetensors file ({reason})", fix) from error


def _read_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` file by name, also from inside a container. Any other content is an error."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        raise IntegrityError(
            path,
            "truncated, or not a file of tensors written by torch.save",
            "fetch the file again; a pickled model must be saved anew as model.state_dict()",
        ) from error
    if isinstance(content, dict):
        for container in CONTAINERS:
            inner = content.get(container)
            if isinstance(inner, Mapping) and inner and not _others(inner):
                return dict(inner)
        others = _others(content)
        if not others:
            return content
        found = f"other things in it ({', '.join(others[:3])}{', …' * (len(others) > 3)})"
    else:
        found = type(content).__name__
    raise UserError(path, f"expected a dict of tensors, found {found}", "save only the model's state dict")


# What torch's readers of zip and pickle raise on damaged bytes.
_DAMAGE = (RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError, pickle.UnpicklingError)


def _others(content: Mapping[Any, Any]) -> list[str]:
    """The keys of all that is not a tensor by a name."""
    return [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
