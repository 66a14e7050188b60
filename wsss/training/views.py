"""What a taught student sees: crops with tags, and where its moving average teaches it, a second, harder view."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter
from pydantic import Field

from wsss.core.params import Settings
from wsss.data.datasets import Batch, LabelSource, Photos, PseudoImages, tag_vector
from wsss.data.index import Record
from wsss.data.transforms import PAD_COLOUR, AugmentSettings, Sample, colour_jitter

STRONG = 1
"""Key of the strong view's generator beside (seed, epoch, number); the weak view's has no such key."""


class StrongSettings(Settings):
    """The student's view where its own moving average teaches it: the teacher's crop, changed in colour alone."""

    jitter: float = Field(ge=0, le=0.9, description="brightness, contrast and saturation change by up to ± this share")
    blur: float = Field(ge=0, description="largest deviation of a Gaussian blur, pixels of the crop")
    cutout: float = Field(ge=0, le=0.9, description="largest side of a painted-over rectangle, share of the crop")


def strong_view(image: np.ndarray, settings: StrongSettings, rng: np.random.Generator) -> np.ndarray:
    """Jitter, blur and cut out; what stays visible stays where it is. (H, W, 3) uint8 → the same."""
    factors = 1.0 + settings.jitter * rng.uniform(-1.0, 1.0, 3)
    radius = settings.blur * float(rng.uniform())
    height, width = image.shape[:2]
    sides = np.rint(settings.cutout * rng.uniform(size=2) * (height, width)).astype(int)
    top, left = (int(rng.integers(0, size - side + 1)) for size, side in zip((height, width), sides, strict=True))
    view = colour_jitter(image, *factors)
    if radius > 0:
        view = np.array(Image.fromarray(view).filter(ImageFilter.GaussianBlur(radius)))
    # The loss stays on there: what is hidden has to be told from what surrounds it.
    view = view.copy()
    view[top : top + sides[0], left : left + sides[1]] = PAD_COLOUR
    return view


class TaughtImages(PseudoImages):
    """Photos with pseudo-labels and tags.

    Items: those of `PseudoImages`; `inside` (crop, crop) bool, False where the crop goes beyond the photo; `tags` (K,)
    float32 in {0, 1}; with `strong` settings, from epoch `starts` on, `strong` (3, crop, crop) uint8.
    """

    def __init__(
        self,
        photos: Photos,
        labels: LabelSource,
        foreground: int,
        seed: int,
        settings: AugmentSettings,
        strong: StrongSettings | None,
        starts: int,
    ) -> None:
        super().__init__(photos, labels, seed, settings)
        self.foreground, self.strong, self.starts = foreground, strong, starts

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        item = super().__getitem__(key)
        if self.strong is not None and key[0] >= self.starts:
            weak = item["image"].permute(1, 2, 0).numpy()
            view = strong_view(weak, self.strong, np.random.default_rng((self.seed, *key, STRONG)))
            item["strong"] = torch.from_numpy(view).permute(2, 0, 1)
        return item

    def sample(self, record: Record) -> Sample:
        whole = super().sample(record)
        assert whole.confidence is not None
        # At least one step of 255, so that 0 means outside: that is what a crop is filled up with.
        return Sample(whole.image, whole.label, np.maximum(whole.confidence, 1))

    def targets(self, record: Record, sample: Sample) -> Batch:
        item = super().targets(record, sample)
        return item | {
            "inside": item["confidence"] > 0,
            "tags": torch.from_numpy(tag_vector(record, self.foreground)),
        }
