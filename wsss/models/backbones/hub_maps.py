"""The maps of a network of transformers: which it has, their channels and strides, and the tensors each is made with.

All is looked up in the network itself, run without numbers on torch's device `meta`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wsss.core.errors import UserError
from wsss.models.backbones.base import Level
from wsss.models.backbones.hub import WHERE, library, shown

SIDE = 224
"""Pixels of the image that is looked at: the strides 4 to 32 divide it, and patches of 14 and of 16 pixels."""
QUARTERS = 4
"""A network of one stride gives the maps behind these parts of its blocks, as `vit_b16` does."""
OUTPUT_STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Stage:
    """A map of a network of transformers, and the names of the tensors that it is made with."""

    name: str
    channels: int
    stride: int
    tensors: frozenset[str]


def configuration(plain: Mapping[str, Any], name: str) -> Any:
    """transformers' configuration. Raises `UserError` if it is of no backbone."""
    transformers = library()
    known = dict(transformers.models.auto.modeling_auto.MODEL_FOR_BACKBONE_MAPPING_NAMES)
    known.pop("timm_backbone", None)  # of another library
    kind = str(plain.get("model_type"))
    if kind not in known:
        what = f"{shown(name)} is a {kind}, of which transformers has no backbone"
        raise UserError(WHERE, what, f"choose a model of one of these: {', '.join(sorted(known))}")
    try:
        with quiet():
            config = transformers.CONFIG_MAPPING[kind].from_dict(dict(plain))
    except Exception as error:  # each configuration has checks of its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:160]
        what = f"{shown(name)}: its configuration is no {kind} of this version of transformers ({reason})"
        raise UserError(WHERE, what, "give the folder of a model as transformers saves it") from error
    if hasattr(config, "reshape_hidden_states"):
        config.reshape_hidden_states = True  # maps, not rows of tokens
    return config


def survey(config: Any, names: Sequence[str], name: str) -> list[Stage]:
    """What the maps `names` of the network are. Sets `config` to give these."""
    transformers = library()
    try:
        config.out_features = list(names)
        with quiet(), torch.inference_mode(False), torch.enable_grad(), torch.device("meta"):
            network = transformers.AutoBackbone.from_config(config).eval()
            # Twice as high as wide: a network that takes one size only, or turns photos, is found out.
            maps = network(torch.empty(1, 3, 2 * SIDE, SIDE)).feature_maps
            shapes = [tuple(found.shape) for found in maps]
            graph = [_leaves(found) for found in maps]
    except Exception as error:  # what a network that needs other inputs raises is its own
        reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:160]}"
        what = f"{shown(name)}, a {config.model_type}, gives no maps of photos of any size ({reason})"
        raise UserError(WHERE, what, "choose another model") from error
    keys = {id(parameter): key for key, parameter in network.named_parameters()}
    stages = []
    for stage, shape, leaves in zip(names, shapes, graph, strict=True):
        if len(shape) != 4 or shape[2] != 2 * shape[3] or SIDE % shape[3]:
            what = f"{shown(name)}, a {config.model_type}, gives {shape} for a photo of {2 * SIDE}×{SIDE}"
            raise UserError(WHERE, what, "choose another model")
        tensors = frozenset(keys[leaf] for leaf in leaves if leaf in keys)
        stages.append(Stage(stage, shape[1], SIDE // shape[3], tensors))
    return stages


def _leaves(found: Tensor) -> set[int]:
    """Ids of the parameters in the graph of a map."""
    seen, waiting, leaves = set(), [found.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [inner for inner, _ in node.next_functions]
    return leaves


def choose(stages: Sequence[Stage], name: str) -> tuple[list[Stage], tuple[Level, ...], int]:
    """The maps that are used, from the finest, as levels; and the coarsest one's stride in the network's own pixels."""
    strides = [stage.stride for stage in stages]
    native = strides[-1]
    if len(set(strides)) == 1:
        blocks = [stage for stage in stages if stage.name != "stem"]
        last = sorted({-(-len(blocks) * part // QUARTERS) for part in range(1, QUARTERS + 1)})
        # A patch covers the nearest power of two: 14 pixels stand for 16.
        stride = min(OUTPUT_STRIDES, key=lambda stride: abs(math.log2(stride / native)))
        chosen = [blocks[number - 1] for number in last]
        levels = [Level(f"b{number}", blocks[number - 1].channels, stride) for number in last]
        return chosen, tuple(levels), native
    # Of the maps at one stride, the last: the stem's has the first stage's.
    chosen = [stage for stage, after in zip(stages, [*strides[1:], 0], strict=True) if stage.stride != after]
    found = [stage.stride for stage in chosen]
    if found != sorted(set(found)) or any(stride & (stride - 1) for stride in found) or native not in OUTPUT_STRIDES:
        what = (
            f"{shown(name)} has maps of strides {', '.join(map(str, found))}, expected powers of two up to 8, 16 or 32"
        )
        raise UserError(WHERE, what, "choose another model")
    levels = [Level(f"c{stage.stride.bit_length() - 1}", stage.channels, stage.stride) for stage in chosen]
    return chosen, tuple(levels), native


@contextmanager
def quiet() -> Iterator[None]:
    """transformers tells of tensors that it left out, with bars; what matters of it is checked here."""
    logging = library().utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.ERROR)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
