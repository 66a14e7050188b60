"""Trained networks on disk: state, the settings that build them again, class names, and where weights came from."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from wsss.core.atomic import write_bytes
from wsss.core.errors import IntegrityError, UserError, WsssError
from wsss.data.size import ReadSizes
from wsss.models.backbones.base import Backbone
from wsss.models.backbones.registry import Architecture, BackboneSettings, build_backbone
from wsss.models.canonical import canonical_bytes

FORMAT = "wsss.network"
VERSION = 2
CLASSIFIER, OSTE, STUDENT = "classifier", "oste", "student"
"""Kinds of networks, as their files name them."""
Stride = Literal[8, 16, 32]


@dataclass(frozen=True)
class NetworkCard:
    """What a network file says of itself: its `kind` (classifier, oste or student), and what builds it again.

    `sizes`: of the photos that it was trained on, None if unknown. `view`: how it was evaluated, plain values of
    `scales`, `flip` and `crf`, which stage `evaluate` adds to the student; None before. `architecture`: of an `hf:`
    backbone, what builds it without its files. `precision`: of its training, None in files that do not say it.
    """

    kind: str
    backbone: BackboneSettings
    settings: Mapping[str, Any]
    classes: tuple[str, ...]
    weights: str
    sizes: ReadSizes | None = None
    view: Mapping[str, Any] | None = None
    architecture: Architecture | None = None
    precision: str | None = None

    def plain(self) -> dict[str, Any]:
        """As plain values, for files."""
        found = {
            "kind": self.kind,
            "backbone": self.backbone.model_dump(),
            "settings": dict(self.settings),
            "classes": list(self.classes),
            "weights": self.weights,
            "sizes": self.sizes and self.sizes.plain(),
            "view": self.view and dict(self.view),
        }
        if self.architecture is not None:
            found["architecture"] = dict(self.architecture)
        return found if self.precision is None else found | {"precision": self.precision}


def backbone_of(card: NetworkCard, load_weights: bool) -> Backbone:
    """The backbone of `card`; `load_weights` puts its pretrained weights in, as for a new training."""
    return build_backbone(card.backbone, load=load_weights, architecture=card.architecture)


def save_network(path: Path, network: nn.Module, card: NetworkCard) -> None:
    """Write the network atomically. The same state gives the same bytes."""
    content = {"format": FORMAT, "version": VERSION, **card.plain(), "state": network.state_dict()}
    write_bytes(path, canonical_bytes(content))


N = TypeVar("N", bound=nn.Module)


def load_network(
    path: Path,
    kind: str,
    build: Callable[[NetworkCard, bool], N],
    classes: Sequence[str],
    output_stride: Stride | None = None,
) -> tuple[N, NetworkCard]:
    """A trained network of `kind`, which `build` builds of its card, in evaluation mode on the CPU. Each kind has a
    function for it beside the network: `load_classifier`, `load_oste`, `load_student`.

    `output_stride` runs it on a finer or coarser grid than it was trained on: strides become dilation, so that the
    values at the common positions stay exactly the same. Raises `UserError` if the file is missing or of another
    kind, `IntegrityError` if it is damaged, foreign, or made for another class list (the difference is printed).
    """
    with of_this_version(path):
        return network_of(path, read_checkpoint(path, FORMAT, VERSION), kind, build, classes, output_stride)


@contextmanager
def of_this_version(path: Path) -> Iterator[None]:
    """Raise `IntegrityError` where a network file lacks an entry, or has a setting that this version does not know."""
    try:
        yield
    except WsssError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), "")[:120]
        what = f"made by another version of wsss, or damaged ({type(error).__name__}: {reason})"
        raise IntegrityError(path, what, "use the version that made it, or train it again: dvc repro") from error


def network_of(
    path: Path,
    content: Mapping[str, Any],
    kind: str,
    build: Callable[[NetworkCard, bool], N],
    classes: Sequence[str],
    output_stride: Stride | None = None,
) -> tuple[N, NetworkCard]:
    """The network of what was read from `path`: its `state`, and the plain values of its card; see `load_network`."""
    if content["kind"] != kind:
        found, wanted = (f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in (content["kind"], kind))
        raise UserError(path, f"found {found}, expected {wanted}", f"give the file of {wanted}")
    if content["classes"] != list(classes):
        raise IntegrityError(
            path,
            _class_difference(content["classes"], list(classes)),
            "train it again on this data set: dvc repro",
        )
    trained = BackboneSettings(**content["backbone"])
    backbone = trained if output_stride is None else trained.model_copy(update={"output_stride": output_stride})
    sizes = ReadSizes.parse(content["sizes"])
    card = NetworkCard(
        kind,
        backbone,
        content["settings"],
        tuple(content["classes"]),
        content["weights"],
        sizes,
        content["view"],
        content.get("architecture"),
        content.get("precision"),
    )
    network = build(card, False)
    try:
        network.load_state_dict(content["state"])
    except RuntimeError as error:
        raise IntegrityError(
            path,
            f"weights do not fit the network ({str(error).splitlines()[0]})",
            "train it again: dvc repro",
        ) from error
    return network.eval(), card


def read_checkpoint(path: Path, file_format: str, version: int) -> dict[str, Any]:
    """Load a checkpoint without running any code it holds, and check that it is ours."""
    fix = "give a file that wsss has written; if this is one, delete it and run dvc repro"
    if not path.is_file():
        raise UserError(path, "no such file", "correct the path, or run the stage that writes it: dvc repro")
    try:
        # torch itself does not look at the checksums that it has written.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            scripted = any(name.endswith("/constants.pkl") for name in archive.namelist())
        if scripted:
            what = "a TorchScript network: it is for torch.jit.load, in programs of your own"
            raise UserError(path, what, "give the checkpoint that it was made of, or an ONNX file")
        if damaged is not None:
            raise ValueError(f"checksum of {damaged} differs")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # the readers of zip and pickle raise nearly anything on damaged bytes
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise IntegrityError(path, f"not a checkpoint, or truncated ({reason[:120]})", fix) from error
    found = (content.get("format"), content.get("version")) if isinstance(content, dict) else (None, None)
    if found[0] == file_format == FORMAT and found[1] == 1:
        what = "a network file of version 1, which does not say at what size its photos were read"
        raise IntegrityError(path, what, "train it again: dvc repro")
    if found != (file_format, version):
        raise IntegrityError(
            path,
            f"found format {found[0]!r} version {found[1]}, expected {file_format!r} version {version}",
            fix,
        )
    return dict(content)


def _class_difference(found: list[str], expected: list[str]) -> str:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if not missing and not extra:
        return "same classes in another order"
    return f"made for other classes (missing {', '.join(missing) or 'none'}; extra {', '.join(extra) or 'none'})"
