"""Student or OSTE → ONNX or TorchScript, for any number and size of photos, with all that is needed to use it."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsss.core.atomic import atomic_file
from wsss.core.errors import EnvError, UserError
from wsss.core.log import say
from wsss.export.own import EXTRA_FILE
from wsss.export.parity import largest_difference, largest_label_difference, refuse_difference
from wsss.export.portable import Portable, PortableStudent, WithLabels
from wsss.models.backbones.hub import shown
from wsss.models.base_student import BaseStudent
from wsss.models.checkpoint import NetworkCard
from wsss.models.oste import Oste
from wsss.predict.networks import (
    ALL_LOGITS,
    LABELS,
    LOGITS,
    NORMALISATION,
    ONNX_FORMAT,
    ONNX_VERSION,
    onnx_session,
    run_onnx,
    seal_onnx,
)
from wsss.predict.segment import Network
from wsss.predict.segmenting import load_segmenting, network_sha256


@dataclass(frozen=True)
class Exported:
    """What was written: the card inside the file, the largest difference from torch, and on how many photos."""

    card: dict[str, Any]
    difference: float
    photos: int


def export_onnx(model: Path, out: Path, photos: Sequence[np.ndarray] = (), called: Path | None = None) -> Exported:
    """Write `out`; it appears only if onnxruntime gives torch's logits and labels on random inputs and `photos` (uint8
    RGB). `called`: the name of `out` in messages, where it is to have another.
    """
    _need("onnx", "onnxscript", "onnxruntime")
    network, card = load_segmenting(model)
    tells_tags = network.segment_parts is not None
    portable = PortableStudent(network) if tells_tags else Portable(network)
    logits = (LOGITS, ALL_LOGITS) if tells_tags else (LOGITS,)
    shown = called or out
    say(f"export: making {shown} and comparing it with torch may take a minute")
    program = _program(WithLabels(portable), (LOGITS, LABELS, *logits[1:]), card.backbone.name, shown)
    content = _card(network, card, model) | {
        "labels": "labels: (batch, height, width) uint8, the classes' numbers: the arg-max of the enlarged logits"
    }
    program.model.metadata_props["wsss"] = json.dumps(content, ensure_ascii=False)
    found: list[float] = []

    def verify(written: Path) -> None:
        session = onnx_session(written)
        runs = [(_reference(network, output), partial(run_onnx, session, output)) for output in logits]
        differences = [largest_difference(*both, photos) for both in runs]
        differences.append(largest_label_difference(runs[0][0], partial(run_onnx, session, LABELS), photos))
        found.append(max(differences))
        refuse_difference(shown, found[0])

    with atomic_file(out, verify) as temporary, _quiet():
        program.save(temporary, external_data=False)
        seal_onnx(temporary)
    return Exported(content, found[0], len(photos))


def export_torchscript(model: Path, out: Path, photos: Sequence[np.ndarray] = ()) -> Exported:
    """Write `out` for `torch.jit.load`; it appears only if it gives the network's logits."""
    network, card = load_segmenting(model)
    portable = Portable(network)
    content = _card(network, card, model)
    found: list[float] = []

    def verify(written: Path) -> None:
        with _quiet():
            loaded: Network = torch.jit.load(str(written))  # type: ignore[no-untyped-call]
        found.append(largest_difference(_reference(network), loaded, photos))
        refuse_difference(out, found[0])

    with atomic_file(out, verify) as temporary, _quiet():
        # One example: sizes in the graph are computed from the input's own.
        traced = torch.jit.trace(portable, (_example(),), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(temporary), _extra_files={EXTRA_FILE: json.dumps(content, ensure_ascii=False)})
    return Exported(content, found[0], len(photos))


def _program(portable: WithLabels, outputs: Sequence[str], backbone: str, out: Path) -> Any:
    try:
        with _quiet():
            return torch.onnx.export(
                portable,
                (_example(),),
                dynamo=True,
                dynamic_shapes={"images": {0: "batch", 2: "height", 3: "width"}},
                input_names=["images"],
                output_names=list(outputs),
                verbose=False,
            )
    except Exception as error:  # torch.export has no common type for what it cannot express
        what = f"not written: torch cannot express {backbone} in ONNX for photos of any size ({_reason(error)})"
        raise UserError(out, what, "write TorchScript instead: --torchscript") from error


def _reason(error: BaseException) -> str:
    """What began it, in one line: the exporter wraps that in advice for its own developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:160]


def _reference(network: BaseStudent | Oste, output: str = LOGITS) -> Network:
    """The network as it is trained and evaluated, not the form that was exported."""
    return network.segment if output == LOGITS or network.segment_parts is None else network.segment_parts


def _example() -> torch.Tensor:
    # Sides that no stride divides: a graph made of them cannot have taken a size for a constant unnoticed.
    return torch.rand(2, 3, 97, 131, generator=torch.Generator().manual_seed(1)) * 255


def _card(network: BaseStudent | Oste, card: NetworkCard, model: Path) -> dict[str, Any]:
    """What a user of the file has to know; no folder of this machine."""
    backbone = network.backbone
    return {
        "format": ONNX_FORMAT,
        "version": ONNX_VERSION,
        "kind": card.kind,
        "classes": list(card.classes),
        "input": "images: (batch, 3, height, width) float32 RGB 0..255",
        "output": "logits: (batch, classes, rows, columns), to be enlarged bilinearly (align_corners=False)",
        "normalisation": NORMALISATION,
        "mean": list(backbone.mean),
        "std": list(backbone.std),
        "backbone": shown(card.backbone.name),
        "weights": card.weights,
        "sizes": card.sizes and card.sizes.plain(),
        "view": card.view and dict(card.view),
        "precision": card.precision,
        "source_sha256": network_sha256(model),
    }


def _need(*packages: str) -> None:
    for package in packages:
        try:
            __import__(package)
        except ModuleNotFoundError as error:
            what = f"ONNX needs the package {error.name}, which is not installed"
            raise EnvError("wsss export", what, "pip install 'wsss[onnx]'") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of its own insides: what it lacks of torchvision, what torch will rename, whole graphs."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(disabled)
