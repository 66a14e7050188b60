"""Opens a segmentation network: a student or an OSTE, their packages, or either of them exported to ONNX."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsss.core.atomic import sha256_file
from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.data.size import ReadSizes
from wsss.models.base_student import BaseStudent
from wsss.models.checkpoint import OSTE, STUDENT, NetworkCard
from wsss.models.oste import Oste
from wsss.predict.package import read_package
from wsss.predict.segment import Network, SegmentSettings
from wsss.predict.segmenting import load_segmenting

KINDS = (STUDENT, OSTE)
ONNX_FORMAT, ONNX_VERSION = "wsss.onnx", 3
LOGITS, ALL_LOGITS, LABELS = "logits", "all_logits", "labels"
"""Outputs of an exported network. Only students that learn tags have the second, before the tags change it; `LABELS`
are the arg-max of the first at the photos' size.
"""
NORMALISATION = "inside the network; give RGB 0..255"


@dataclass(frozen=True)
class Segmenting:
    """A network that segments: `run` maps (N, 3, H, W) float 0..255 → logits (N, K+1, h, w); `kind`: student or oste;
    `classes`: names, background first. `parts`: like `run`, but without heeding the tags that the whole photo seems
    to have, for pieces of a photo; None if `run` heeds none. `sizes`: of the photos that it was trained on, `view`: how
    it was evaluated; None if its file does not say.
    """

    run: Network
    kind: str
    classes: tuple[str, ...]
    parts: Network | None = None
    sizes: ReadSizes | None = None
    view: SegmentSettings | None = None


def open_network(path: Path, where: torch.device) -> Segmenting:
    """The network of `path`: a checkpoint, a package (a folder), or an ``.onnx`` file (which runs on the CPU).

    Raises `UserError` if it is missing or does not segment, `IntegrityError` if it is damaged or foreign.
    """
    if path.suffix == ".onnx":
        return _open_onnx(path)
    network, card = load_segmenting(path)
    return segmenting(network.to(where), card, path)


def source_sha256(path: Path) -> str:
    """Hex digest of the checkpoint `path`, or of the one that this package or ONNX file was exported of. Raises as
    `open_network`.
    """
    if path.is_dir():
        return str(read_package(path).get("source_sha256", ""))
    if path.suffix == ".onnx":
        return str(onnx_card(path, onnx_session(path)).get("source_sha256", ""))
    return sha256_file(path)


def segmenting(network: BaseStudent | Oste, card: NetworkCard, path: Path) -> Segmenting:
    """A `network` that was read from `path`, with its `card`. Raises `IntegrityError` for a view that is none."""
    view = parse_view(card.view, path)
    return Segmenting(network.segment, card.kind, card.classes, network.segment_parts, card.sizes, view)


def parse_view(values: Any, path: Path) -> SegmentSettings | None:
    """How a network was evaluated, from the plain values of its file `path`. Raises `IntegrityError`."""
    if values is None:
        return None
    try:
        return SegmentSettings.model_validate(values, strict=False)
    except ValueError as error:
        what = f"damaged: it does not say how it was evaluated ({str(error).splitlines()[0]})"
        raise IntegrityError(path, what, "make it again: dvc repro -f -s evaluate") from error


def onnx_session(path: Path) -> Any:
    """An onnxruntime session on the CPU for an ONNX file or its bytes. `EnvError` without the package."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        what = "running an ONNX file needs the package onnxruntime, which is not installed"
        raise EnvError(path, what, "pip install 'wsss[onnx]'") from error
    if not path.is_file():
        raise UserError(path, "no such file", "export it: wsss export MODEL OUT.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has one exception type for each kind of damage
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise IntegrityError(
            path, f"not an ONNX file, or damaged ({reason[:120]})", "export it again: wsss export MODEL OUT.onnx"
        ) from error


def run_onnx(session: Any, output: str, images: torch.Tensor) -> torch.Tensor:
    """The named output of an exported network for (N, 3, H, W) float 0..255, on the CPU: logits (N, K+1, h, w), or
    labels (N, H, W) uint8.
    """
    from onnxruntime import RunOptions

    options = RunOptions()
    options.only_execute_path_to_fetches = True  # else labels are enlarged for nothing
    (found,) = session.run([output], {"images": np.ascontiguousarray(images.cpu().numpy(), np.float32)}, options)
    return torch.from_numpy(found)


def onnx_card(path: Path, session: Any) -> dict[str, Any]:
    """The metadata of an exported file: kind, classes, backbone, sizes and view as in `NetworkCard`, checksum."""
    try:
        card = dict(json.loads(session.get_modelmeta().custom_metadata_map["wsss"]))
        if card["format"] == ONNX_FORMAT and card["version"] in (1, 2):
            lacks = "at what size its photos were read" if card["version"] == 1 else "its checksum"
            what = f"exported by an earlier wsss: it does not say {lacks}"
            raise IntegrityError(path, what, "export it again: wsss export MODEL OUT.onnx")
        if (card["format"], card["version"]) != (ONNX_FORMAT, ONNX_VERSION):
            raise ValueError(f"format {card['format']!r} version {card['version']}")
        if card["kind"] not in KINDS or not all(isinstance(name, str) for name in card["classes"]):
            raise ValueError("kind or classes")
        ReadSizes.parse(card["sizes"])
        card["view"]
    except (KeyError, ValueError, TypeError) as error:
        what = "an ONNX file that wsss has not exported: it does not say which classes it knows"
        raise IntegrityError(path, what, "export it again: wsss export MODEL OUT.onnx") from error
    data = path.read_bytes()
    if data[-SEAL:] != _seal(data[:-SEAL]):
        what = "damaged: its checksum differs"
        raise IntegrityError(path, what, "export it again: wsss export MODEL OUT.onnx")
    return card


def seal_onnx(path: Path) -> None:
    """Append the checksum of an ONNX file to it, as one more entry of its metadata.

    A protobuf message may be cut between two fields, and what follows adds to it: any reader of ONNX takes the file.
    """
    path.write_bytes((data := path.read_bytes()) + _seal(data))


def _seal(data: bytes) -> bytes:
    """Field `metadata_props` (14) of ONNX's ModelProto: key (1) and value (2), each with its type and length."""
    key, value = b"wsss.sha256", hashlib.sha256(data).hexdigest().encode()
    entry = bytes([1 << 3 | 2, len(key)]) + key + bytes([2 << 3 | 2, len(value)]) + value
    return bytes([14 << 3 | 2, len(entry)]) + entry


SEAL = len(_seal(b""))


def _open_onnx(path: Path) -> Segmenting:
    session = onnx_session(path)
    card = onnx_card(path, session)

    every = any(output.name == ALL_LOGITS for output in session.get_outputs())
    parts = partial(run_onnx, session, ALL_LOGITS) if every else None
    sizes, view = ReadSizes.parse(card["sizes"]), parse_view(card["view"], path)
    run = partial(run_onnx, session, LOGITS)
    return Segmenting(run, str(card["kind"]), tuple(card["classes"]), parts, sizes, view)
