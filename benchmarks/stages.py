"""Stages run by their own commands in this process, with settings made of a recipe; for `benchmarks.device`."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any
from unittest import mock

from ruamel.yaml import YAML

from wsss.core.errors import WsssError
from wsss.models.backbones.registry import BackboneSettings, weights_source

REPO = Path(__file__).parent.parent
LAST = 500
"""Letters of what a failed stage has said that its error shows."""


@contextmanager
def on_device(where: str) -> Iterator[None]:
    """While inside, work runs on the device that `where` names (auto, cpu, cuda, cuda:N)."""
    with mock.patch.dict(os.environ, {"WSSS_DEVICE": where}):
        yield


def weights_of(backbone: str) -> str:
    """`imagenet` where the package of its weights is installed, else `random`."""
    try:
        weights_source(BackboneSettings(name=backbone, output_stride=16, weights="imagenet"))
    except WsssError:
        return "random"
    return "imagenet"


def settings(recipe: str, *changes: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's settings with `changes`; weights that are not installed become random, and no verdict stops."""
    found: dict[str, Any] = YAML(typ="safe").load((REPO / f"recipes/{recipe}.yaml").read_text(encoding="utf-8"))
    for change in changes:
        _merge(found, change)
    for section in ("pretrain", "distill"):
        backbone = found[section].setdefault("backbone", {})
        if backbone.get("weights", "imagenet") == "imagenet":
            backbone["weights"] = weights_of(backbone.get("name", "efficientnet_lite0"))
    for section in ("pretrain", "train"):
        found[section]["verdict"] = "warn"
    return found


def run_stage(stage: str, folder: Path, where: str, log: Path) -> float:
    """Run the stage in `folder`, with its params.yaml, on a device; seconds. What it says goes to the end of `log`.

    Raises `RuntimeError` with the last words of a stage that fails.
    """
    command = importlib.import_module(f"pipeline.{stage}").main
    begin = time.monotonic()
    with log.open("a+", encoding="utf-8") as said, on_device(where), chdir(folder), redirect_stderr(said):
        said.write(f"--- {folder.name} {stage} on {where}\n")
        said.flush()
        before = log.stat().st_size
        try:
            command.main([], standalone_mode=False)
        except SystemExit as error:
            if error.code:
                said.flush()
                text = log.read_bytes()[before:].decode(errors="replace").strip()
                raise RuntimeError(f"stage {stage} ended with {error.code}: {text[-LAST:]}") from error
    return time.monotonic() - begin


def begin(folder: Path, params: Mapping[str, Any]) -> None:
    """Make `folder` one to run stages in."""
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
