"""A network as a package: a folder to put on a hub, or to send; see `predict.package` for its files."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from wsss.core.atomic import write_text
from wsss.core.errors import IntegrityError
from wsss.core.folders import atomic_dir, refuse_foreign
from wsss.data.images import voc_palette
from wsss.export.model_card import OTHER, Subject, model_card
from wsss.export.network import Exported, export_onnx
from wsss.export.provenance import find_provenance
from wsss.models.backbones.weights import read_tensors
from wsss.predict.how import evaluated
from wsss.predict.networks import NORMALISATION, segmenting
from wsss.predict.package import MODEL_CARD, ONNX, TENSORS, write_package
from wsss.predict.segmenting import load_segmenting, network_sha256


def export_package(
    model: Path, out: Path, photos: Sequence[np.ndarray] = (), dataset: Path | None = None, licence: str = OTHER
) -> Exported:
    """Write the folder `out` for the network `model`; it appears only if all of it was compared with the network.

    `photos`: as for `export_onnx`; `dataset`: as for `find_provenance`; `licence`: of these weights, for the card.
    Raises `UserError` if `out` holds what wsss has not written, and what `export_onnx` does.
    """
    refuse_foreign(out)
    network, card = load_segmenting(model)
    known = find_provenance(model, card, dataset)
    how = evaluated(segmenting(network, card, model))
    state = network.state_dict()
    version = importlib.metadata.version("wsss")
    config = {
        **card.plain(),
        "normalisation": NORMALISATION,
        "mean": list(network.backbone.mean),
        "std": list(network.backbone.std),
        "palette": voc_palette()[: len(card.classes)].tolist(),
        "wsss": version,
        "source_sha256": network_sha256(model),
    }
    said = "" if how is None else f"It is run as it was evaluated: {how.describe()}."
    parameters = sum(parameter.numel() for parameter in network.parameters())
    subject = Subject(out.absolute().name, card, said, parameters, licence, version)
    with atomic_dir(out) as folder:
        write_package(folder, state, config)
        _refuse_other(folder / TENSORS, state)
        made = export_onnx(model, folder / ONNX, photos, called=out / ONNX)
        write_text(folder / MODEL_CARD, model_card(subject, known))
    return made


def _refuse_other(path: Path, state: dict[str, torch.Tensor]) -> None:
    found = read_tensors(path)
    same = found.keys() == state.keys()
    if not same or not all(torch.equal(found[name], tensor) for name, tensor in state.items()):
        raise IntegrityError(path, "not written: it holds other tensors than the network", "export it again")
