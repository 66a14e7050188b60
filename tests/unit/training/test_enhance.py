"""Labels of a batch of crops: those that each crop would get alone, 255 outside the photo, on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsss.core.errors import WsssError
from wsss.correct.fixed import FixedSettings, fixed_pseudo_label
from wsss.crf.dense import dense_crf
from wsss.crf.settings import PUBLISHED
from wsss.training.enhance import Enhancer

CRF = PUBLISHED.model_copy(update={"iterations": 5, "bilateral_weight": 4.0, "bilateral_xy": 40.0})
WITH = FixedSettings(gamma=4.0, alpha=0.5, crf=CRF)
WITHOUT = FixedSettings(gamma=4.0, alpha=0.5, crf=None)
TAGS = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]])
SIZE = (40, 48)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Blobs of colour, float, as the training loop has them on the device."""
    small = np.random.default_rng(0).integers(0, 256, (5, 3, 5, 6)).astype(np.float32)
    return torch.nn.functional.interpolate(torch.from_numpy(small), SIZE, mode="bilinear").round()


@pytest.fixture(scope="module")
def cams() -> torch.Tensor:
    return 3 * torch.rand(5, 4, 5, 6, generator=torch.Generator().manual_seed(1)) ** 2


INSIDE = torch.ones(5, *SIZE, dtype=torch.bool)


def enhance(
    images: torch.Tensor,
    cams: torch.Tensor,
    settings: FixedSettings,
    tags: torch.Tensor = TAGS,
    inside: torch.Tensor = INSIDE,
    threads: int = 2,
) -> torch.Tensor:
    enhancer = Enhancer(settings, threads)
    return enhancer.labels(enhancer.start(images, cams, tags), inside)


def photo(images: torch.Tensor, number: int) -> np.ndarray:
    return np.asarray(images[number].permute(1, 2, 0)).astype(np.uint8)


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
def test_each_crop_has_the_label_that_it_has_alone(
    images: torch.Tensor, cams: torch.Tensor, settings: FixedSettings
) -> None:
    labels = enhance(images, cams, settings)
    assert (labels.shape, labels.dtype) == ((5, *SIZE), torch.uint8)
    for number in range(5):
        classes = [k + 1 for k in range(4) if TAGS[number, k]]
        maps = cams[number, [k - 1 for k in classes]].numpy()
        alone = fixed_pseudo_label(photo(images, number), maps, np.asarray(classes), settings)
        assert np.array_equal(labels[number].numpy(), alone.label)
        assert set(np.unique(labels[number])) <= {0, 255, *classes}
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4, 255}


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
def test_any_number_of_threads_gives_the_same_labels(
    images: torch.Tensor, cams: torch.Tensor, settings: FixedSettings
) -> None:
    one = enhance(images, cams, settings, threads=1)
    assert torch.equal(enhance(images, cams, settings, threads=3), one)
    assert torch.equal(enhance(images, cams, settings, threads=0), one)


def test_equation_13_keeps_what_thresholds_and_crf_agree_on(images: torch.Tensor, cams: torch.Tensor) -> None:
    """Eqs (9)–(12) written out, the CRF's arg-max, and where they agree."""
    both = enhance(images, cams, WITH).numpy()
    for number in (0, 2, 3, 4):
        classes = np.flatnonzero(TAGS[number]) + 1
        large = torch.nn.functional.interpolate(cams[number : number + 1], SIZE, mode="bilinear", align_corners=False)
        f = np.stack([(m - m.min()) / (m.max() - m.min() + 1e-5) for m in large[0, classes - 1].numpy()])
        s = np.concatenate([((1 - f.max(0)) ** 4)[None], f])
        names = np.concatenate([[0], classes])
        base = np.where(s.max(0) > 0.5, names[s.argmax(0)], 255)
        crf = names[dense_crf(photo(images, number), s.astype(np.float32), CRF).argmax(0)]
        kept = both[number] != 255
        assert np.array_equal(both[number][kept], base[kept])
        assert np.array_equal(both[number][kept], crf[kept])
        expected = np.where(base == crf, base, 255)
        assert (both[number] == expected).mean() > 0.999
        assert 0 < kept.sum() < (base != 255).sum()
        assert (base != 255).sum() < base.size


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
def test_pixels_outside_the_photo_are_not_labelled(
    images: torch.Tensor, cams: torch.Tensor, settings: FixedSettings
) -> None:
    inside = INSIDE.clone()
    inside[:, :, 30:] = False
    inside[1, :7] = False
    inside[2] = False
    before, after = enhance(images, cams, settings), enhance(images, cams, settings, inside=inside)
    assert (after[~inside] == 255).all()
    assert torch.equal(after[inside], before[inside])


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
def test_crop_without_tags_is_all_background(images: torch.Tensor, cams: torch.Tensor, settings: FixedSettings) -> None:
    assert not enhance(images, cams, settings)[1].any()


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_where_a_present_class_has_no_signal_nothing_is_background(
    images: torch.Tensor, cams: torch.Tensor, settings: FixedSettings, value: float
) -> None:
    """Class 1 of crop 0; the other crops keep their labels, and crop 4 has no class left at all."""
    lost = cams.clone()
    lost[0, 0] = lost[4, 2] = value
    labels, before = enhance(images, lost, settings), enhance(images, cams, settings)
    assert set(np.unique(labels[0])) == {3, 255}
    assert (labels[4] == 255).all()
    assert torch.equal(labels[1:4], before[1:4])


@pytest.mark.parametrize("settings", [WITH, WITHOUT], ids=["crf", "plain"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_map_that_is_not_finite_labels_nothing_and_leaves_the_message_to_the_loss(
    images: torch.Tensor, cams: torch.Tensor, settings: FixedSettings, bad: float
) -> None:
    broken = cams.clone()
    broken[0, 2, 1, 1] = bad
    broken[2, 0, 1, 1] = bad  # of a class that the crop does not have
    labels, before = enhance(images, broken, settings), enhance(images, cams, settings)
    assert (labels[0] == 255).all()
    assert torch.equal(labels[1:], before[1:])


def test_maps_of_half_precision_with_gradient_are_read_as_they_are(images: torch.Tensor, cams: torch.Tensor) -> None:
    rough = cams.bfloat16().requires_grad_()
    assert torch.equal(enhance(images, rough, WITHOUT), enhance(images, rough.detach().float(), WITHOUT))


def test_error_of_a_thread_arrives(images: torch.Tensor, cams: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise WsssError("dense CRF", "is bad", "mend it")

    monkeypatch.setattr("wsss.training.enhance.fixed_pseudo_label", fail)
    with pytest.raises(WsssError, match="dense CRF: is bad\nfix: mend it"):
        enhance(images, cams, WITH)
