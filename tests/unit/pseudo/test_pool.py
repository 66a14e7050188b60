"""Dense CRF of a batch of crops: what each crop and its own classes would get alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsss.core.errors import WsssError
from wsss.pseudo.crf import DSRG, dense_crf
from wsss.pseudo.pool import CrfPool, as_photos

CRF = DSRG.model_copy(update={"iterations": 3, "bilateral_xy": 20.0})
TAGS = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]])


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, 24, 32), generator=generator).float()
    scores = torch.randn(3, 4, 24, 32, generator=generator)
    absent = torch.nn.functional.pad(TAGS == 0, (1, 0), value=False)
    return images, scores.masked_fill(absent[:, :, None, None], -1e4).softmax(1)


@pytest.mark.parametrize("threads", [1, 3])
def test_each_crop_is_smoothed_alone_among_its_classes(threads: int) -> None:
    images, scores = batch()
    pool = CrfPool(CRF, threads)
    found = pool.posteriors(images, scores, TAGS)
    assert found.dtype == torch.float32
    for number, there in enumerate(([0, 1, 3], [0], [0, 2])):
        if len(there) == 1:
            assert torch.equal(found[number], scores[number])
            continue
        alone = dense_crf(as_photos(images)[number], scores[number, there].numpy(), CRF)
        np.testing.assert_array_equal(found[number, there].numpy(), alone)
        assert not found[number, [k for k in range(4) if k not in there]].any()


def test_crop_of_nan_is_left_for_the_loop_to_report() -> None:
    images, scores = batch()
    scores[0, 1, 3, 3] = float("nan")
    pool = CrfPool(CRF, 1)
    found = pool.posteriors(images, scores, TAGS)
    assert found[0].isnan().sum() == 1
    assert not found[1:].isnan().any()


def test_an_error_reaches_the_caller() -> None:
    images, scores = batch()
    pool = CrfPool(CRF, 1)
    with pytest.raises(WsssError, match="expected uint8"):
        pool.posteriors(images[:, :, :-1], scores, TAGS)
