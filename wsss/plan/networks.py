"""Networks that settings ask for and that cannot be built: found before any stage builds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from wsss.core.errors import UserError
from wsss.models.backbones.hub import PREFIX, is_hub
from wsss.models.backbones.registry import BackboneSettings, architecture_of, build_backbone
from wsss.models.checkpoint import OSTE, NetworkCard
from wsss.models.oste import build_oste
from wsss.plan.hub_models import is_here
from wsss.training.oste import shape_of

CLASSES = ("background", "class")
"""Whatever they are, the network can be built or cannot."""


def impossible_network(sections: Mapping[str, Any]) -> UserError | None:
    """What a stage would refuse in the settings `pretrain`, `train` and `distill`, those that there are: a stride that
    the backbone lacks, or a level. The networks get no numbers, so this takes no time. A model of Hugging Face that is
    not on this machine is left to the stages.
    """
    try:
        for name in ("pretrain", "distill"):
            if name in sections and _known(sections[name].backbone):
                with torch.device("meta"):
                    _named(name, sections[name].backbone)
        if {"pretrain", "train"} <= {*sections} and _known(sections["pretrain"].backbone):
            section, backbone = sections["train"], sections["pretrain"].backbone
            shape = shape_of(section, sections["pretrain"].bias, branch=section.enabled)
            there = backbone.model_copy(update={"output_stride": section.output_stride})
            card = NetworkCard(OSTE, there, shape, CLASSES, "", architecture=architecture_of(backbone))
            with torch.device("meta"):
                build_oste(card, False)
        if {"pretrain", "distill"} <= {*sections}:
            _check_start(sections["pretrain"].backbone, sections["distill"])
    except UserError as error:
        return error
    return None


def _check_start(oste: BackboneSettings, distill: Any) -> None:
    """Raise `UserError` where the student is to start from an OSTE of another backbone, as `start_from` does."""
    student = distill.backbone
    if distill.init == "oste" and (oste.name, oste.width) != (student.name, student.width):
        found, other = (f"{one.name} of width {one.width:g}" for one in (oste, student))
        raise UserError(
            "distill.init",
            f"found oste, but pretrain.backbone is {found} and distill.backbone {other}",
            "set distill.init: pretrained, or give both the same backbone",
        )


def _known(backbone: BackboneSettings) -> bool:
    return not is_hub(backbone.name) or is_here(backbone.name.removeprefix(PREFIX))


def _named(section: str, backbone: BackboneSettings) -> None:
    """Build `backbone`, and say of what is wrong with it which section it is of."""
    try:
        build_backbone(backbone, load=False)
    except UserError as error:
        raise UserError(f"{section}.{error.where}", error.what, error.fix) from error
