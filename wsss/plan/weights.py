"""Files of pretrained weights that settings name and that are not there: found before any stage looks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap

from wsss.core.errors import UserError
from wsss.core.settings_file import line_of, plain_values, read_settings
from wsss.models.backbones.hub import is_hub
from wsss.models.backbones.registry import BACKBONES, BackboneSettings

SECTIONS = ("pretrain", "distill")
"""The sections that name a backbone."""
SOURCES = {
    "resnet38d": "https://github.com/itijyou/ademxapp, ilsvrc-cls_rna-a1_cls1000_ep-0001.params",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "vit_b16": "https://huggingface.co/timm/vit_base_patch16_224.augreg_in21k_ft_in1k, model.safetensors",
    "deit_b16": "https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth",
}
"""Where the public ImageNet weights of a backbone are, if no package has them."""


def missing_weights(params: Path) -> list[UserError]:
    """One error for each file that `params` names and that is not there, and for ImageNet weights that no package has.

    What is no file of settings, or no backbone, is left to those who check it.
    """
    try:
        document = read_settings(params)
    except UserError:
        return []
    keys: dict[tuple[str, str], list[str]] = {}
    for section, backbone in _backbones(params, document):
        if not _found(backbone):
            keys.setdefault((backbone.name, backbone.weights), []).append(f"{section}.backbone.weights")
    return [_error(params, document, *of, names) for of, names in keys.items()]


def _found(backbone: BackboneSettings) -> bool:
    if backbone.weights == "imagenet":
        return BACKBONES[backbone.name].imagenet is not None  # whether it is installed is for `wsss doctor` to say
    return backbone.weights == "random" or Path(backbone.weights).is_file()


def _error(params: Path, document: CommentedMap, name: str, weights: str, keys: list[str]) -> UserError:
    line = line_of(document, keys[0].split("."))
    public = f"those of {name} are public: {SOURCES[name]}; " if name in SOURCES else ""
    if weights == "imagenet":
        what, fix = f"no package has ImageNet weights of {name}", f"{public}name the file"
    else:
        what = f"the weights are missing: no file {weights!r}"
        fix = f"{public}put the file at {Path(weights).absolute()}, or name the one you have"
    return UserError(f"{params}:{line}" if line else params, f"{' and '.join(keys)}: {what}", fix)


def _backbones(params: Path, document: CommentedMap) -> Iterator[tuple[str, BackboneSettings]]:
    """Those of `BACKBONES`, by section; models of Hugging Face come with their weights."""
    for section in SECTIONS:
        part = document.get(section)
        if not isinstance(part, dict):
            continue
        written = part.get("backbone", CommentedMap())
        try:
            backbone = BackboneSettings.model_validate(plain_values(params, written))
        except ValidationError:
            continue
        if not is_hub(backbone.name):
            yield section, backbone
