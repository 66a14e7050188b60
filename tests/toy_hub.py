"""Small models in the layout of Hugging Face, with random weights, as transformers saves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

transformers: Any = pytest.importorskip("transformers", reason="needs wsss[hf]")

TOKENS = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2}
CONFIGS: dict[str, Callable[[], Any]] = {
    "resnet": lambda: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic"
    ),
    "convnext": lambda: transformers.ConvNextConfig(hidden_sizes=[8, 16, 16, 24], depths=[1, 1, 1, 1]),
    "swin": lambda: transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=4, drop_path_rate=0.0
    ),
    "beit": lambda: transformers.BeitConfig(
        **TOKENS, intermediate_size=32, image_size=64, use_relative_position_bias=True
    ),
    "dinov2": lambda: transformers.Dinov2Config(**TOKENS, mlp_ratio=2, image_size=56, patch_size=14),
    "dinov2_registers": lambda: transformers.Dinov2WithRegistersConfig(
        **TOKENS, mlp_ratio=2, image_size=56, patch_size=14
    ),
}
STRIDES = dict.fromkeys(CONFIGS, 32) | dict.fromkeys(("beit", "dinov2", "dinov2_registers"), 16)


def save_model(folder: Path, kind: str, seed: int = 0) -> str:
    """Save a model of `kind` in `folder`; the name of the backbone."""
    torch.manual_seed(seed)
    transformers.utils.logging.disable_progress_bar()
    transformers.AutoBackbone.from_config(CONFIGS[kind]()).save_pretrained(folder)
    return f"hf:{folder}"
