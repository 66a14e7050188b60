"""Networks that settings ask for and that cannot be built: found before any stage builds them."""

from __future__ import annotations

from typing import Any

import torch

from wsss.core.errors import UserError
from wsss.models.backbones.hub import is_hub
from wsss.models.checkpoint import OSTE, NetworkCard, build_oste
from wsss.training.oste import shape_of

CLASSES = ("background", "class")
"""Whatever they are, the network can be built or cannot."""


def impossible_network(params: Any) -> UserError | None:
    """What stage `train` would refuse in the sections `pretrain` and `train` of `params`, as a level that the backbone
    lacks. The network gets no numbers, so this takes no time. Models of Hugging Face are left to the stages: their
    files may not be there yet.
    """
    backbone, section = params.pretrain.backbone, params.train
    if is_hub(backbone.name):
        return None
    shape = shape_of(section, params.pretrain.bias, branch=section.enabled)
    there = backbone.model_copy(update={"output_stride": section.output_stride})
    try:
        with torch.device("meta"):
            build_oste(NetworkCard(OSTE, there, shape, CLASSES, ""), False)
    except UserError as error:
        return error
    return None
