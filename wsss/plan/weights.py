"""Pretrained weights that settings name and that are not there: found before any stage looks for them.

Nothing is downloaded here.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap

from wsss.core.errors import UserError
from wsss.core.settings_file import line_of, plain_values, read_settings
from wsss.models.backbones.hub import PREFIX, is_hub
from wsss.models.backbones.registry import BACKBONES, BackboneSettings
from wsss.plan.hub_models import is_here, why_not

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
    """One error for each file that `params` names and that is not there, for ImageNet weights that no package has, and
    for models of Hugging Face that no stage could use or fetch.

    What is no file of settings, or no backbone, is left to those who check it.
    """
    found = []
    for backbone, keys in _backbones(params).items():
        if is_hub(backbone.name):
            wrong = why_not(backbone.name.removeprefix(PREFIX), backbone.weights == "random")
            if wrong:
                found.append(_told(params, keys, "name", f"{backbone.name}: {wrong.what}", wrong.fix))
        elif not _found(backbone):
            found.append(_told(params, keys, "weights", *_file(backbone)))
    return found


def models_to_fetch(params: Path) -> list[UserError]:
    """One for each model of Hugging Face that `params` names and that a stage would download. Raises nothing."""
    found = []
    for backbone, keys in _backbones(params).items():
        model = backbone.name.removeprefix(PREFIX)
        if not is_hub(backbone.name) or why_not(model, backbone.weights == "random") or is_here(model):
            continue
        stage = keys[0].partition(".")[0]
        what = (
            f"{backbone.name} is neither a folder nor in the cache of this machine: stage {stage} would download it, "
            "which a node without internet cannot"
        )
        fix = (
            f"fetch it before: hf download {model}; for a node without this cache: hf download {model} --local-dir "
            f"FOLDER, then name: {PREFIX}FOLDER"
        )
        found.append(_told(params, keys, "name", what, fix))
    return found


def _found(backbone: BackboneSettings) -> bool:
    if backbone.weights == "imagenet":
        return BACKBONES[backbone.name].imagenet is not None  # whether it is installed is for `wsss doctor` to say
    return backbone.weights == "random" or Path(backbone.weights).is_file()


def _file(backbone: BackboneSettings) -> tuple[str, str]:
    """What is missing, and what to do."""
    name, weights = backbone.name, backbone.weights
    public = f"those of {name} are public: {SOURCES[name]}; " if name in SOURCES else ""
    if weights == "imagenet":
        return f"no package has ImageNet weights of {name}", f"{public}name the file"
    what = f"the weights are missing: no file {weights!r}"
    return what, f"{public}put the file at {Path(weights).absolute()}, or name the one you have"


def _told(params: Path, keys: list[str], last: str, what: str, fix: str) -> UserError:
    """At the line of the first of `keys`, the backbones that have the same fault; `last`: the key that it is of."""
    names = [f"{key}.{last}" for key in keys]
    line = line_of(read_settings(params), names[0].split("."))
    return UserError(f"{params}:{line}" if line else params, f"{' and '.join(names)}: {what}", fix)


def _backbones(params: Path) -> dict[BackboneSettings, list[str]]:
    """The backbones that `params` names, alike in name and weights, and the keys that name them."""
    try:
        document = read_settings(params)
    except UserError:
        return {}
    found: dict[tuple[str, str], tuple[BackboneSettings, list[str]]] = {}
    for section in SECTIONS:
        part = document.get(section)
        if not isinstance(part, dict):
            continue
        written = part.get("backbone", CommentedMap())
        try:
            backbone = BackboneSettings.model_validate(plain_values(params, written))
        except ValidationError:
            continue
        found.setdefault((backbone.name, backbone.weights), (backbone, []))[1].append(f"{section}.backbone")
    return dict(found.values())
