"""The confusion matrix against loops and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from wsss.core.errors import WsssError
from wsss.evaluation.confusion import Confusion, count_pairs, scores


def brute_force(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    counts = np.zeros((classes, classes + 1), np.int64)
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t != 255:
            counts[t, classes if p == 255 else p] += 1
    return counts


def draw(seed: int, classes: int, size: tuple[int, int], ignored: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    maps = [generator.integers(0, classes, size, np.uint8) for _ in range(2)]
    for array in maps:
        array[generator.random(size) < ignored] = 255
    return maps[0], maps[1]


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    classes=st.integers(1, 255),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    ignored=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_counts_equal_a_loop(seed: int, classes: int, size: tuple[int, int], ignored: float) -> None:
    truth, prediction = draw(seed, classes, size, ignored)
    assert np.array_equal(count_pairs(truth, prediction, classes), brute_force(truth, prediction, classes))


@pytest.mark.parametrize("seed", range(20))
def test_miou_equals_torchmetrics(seed: int) -> None:
    classes = 2 + seed % 20
    ours = Confusion(classes)
    jaccard = MulticlassJaccardIndex(classes, average="none", ignore_index=255)
    matrix = MulticlassConfusionMatrix(classes, ignore_index=255)
    for photo in range(3):
        truth, prediction = draw(1000 * seed + photo, classes, (30, 40))
        prediction[prediction == 255] = 0
        ours.update(truth, prediction)
        pair = torch.from_numpy(prediction.astype(np.int64)), torch.from_numpy(truth.astype(np.int64))
        jaccard.update(*pair)
        matrix.update(*pair)
    assert np.array_equal(ours.counts[:, :-1], matrix.compute().numpy())
    np.testing.assert_allclose(ours.scores().iou, jaccard.compute().numpy(), atol=1e-6)
    assert ours.scores().miou == pytest.approx(float(jaccard.compute().mean()), abs=1e-6)
    assert ours.scores().coverage == 1.0


def test_unsure_predictions_are_wrong_and_unknown_truth_is_left_out() -> None:
    truth = np.array([[0, 0, 0, 0, 1, 1, 255, 255]], np.uint8)
    prediction = np.array([[0, 0, 255, 1, 1, 255, 0, 1]], np.uint8)
    found = scores(count_pairs(truth, prediction, 2))
    assert found.iou.tolist() == [2 / 4, 1 / 3]
    assert found.miou == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert found.miou_labelled == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.coverage == 4 / 6


def test_dropping_the_wrong_pixels_does_not_raise_the_miou() -> None:
    """Labels with 20 % errors, all of them turned into 255, score 1.0 where 255 is ignored."""
    truth = np.repeat(np.arange(4, dtype=np.uint8), 25)[None]
    prediction = truth.copy()
    prediction[0, ::5] = 255
    found = scores(count_pairs(truth, prediction, 4))
    assert found.miou == pytest.approx(0.8)
    assert found.miou_labelled == 1.0
    assert found.coverage == pytest.approx(0.8)


def test_absent_class_is_not_available_and_left_out_of_the_mean() -> None:
    truth, prediction = np.array([[0, 0, 2]], np.uint8), np.array([[0, 2, 2]], np.uint8)
    found = scores(count_pairs(truth, prediction, 4))
    assert np.isnan(found.iou[[1, 3]]).all()
    assert found.miou == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_class_that_is_only_predicted_scores_zero_and_counts() -> None:
    truth, prediction = np.array([[0, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8)
    found = scores(count_pairs(truth, prediction, 2))
    assert found.iou.tolist() == [0.75, 0.0]
    assert found.miou == 0.375


def test_nothing_counted_is_not_available() -> None:
    found = Confusion(3).scores()
    assert np.isnan([*found.iou, found.miou, found.miou_labelled, found.coverage]).all()
    everything_unknown = np.full((2, 2), 255, np.uint8)
    assert np.isnan(scores(count_pairs(everything_unknown, everything_unknown, 3)).miou)


def test_permuting_classes_permutes_the_iou() -> None:
    truth, prediction = draw(0, 5, (20, 20))
    order = np.array([3, 0, 4, 1, 2])
    table = np.full(256, 255, np.uint8)
    table[order] = np.arange(5)
    straight = scores(count_pairs(truth, prediction, 5))
    permuted = scores(count_pairs(table[truth], table[prediction], 5))
    assert np.array_equal(permuted.iou, straight.iou[order])
    assert permuted.miou == pytest.approx(straight.miou)
    assert permuted.coverage == straight.coverage


def test_photos_in_any_order_and_any_cut_give_one_matrix() -> None:
    pairs = [draw(seed, 4, (8, 9)) for seed in range(6)]
    one, other = Confusion(4), Confusion(4)
    for pair in pairs:
        one.update(*pair)
    for pair in reversed(pairs):
        other.update(pair[0][:3], pair[1][:3])
        other.update(pair[0][3:], pair[1][3:])
    assert np.array_equal(one.counts, other.counts)


def test_counters_pass_32_bits() -> None:
    """COCO val has 6 · 10⁹ pixels; 32-bit counters, signed or not, would have turned over."""
    pair = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    confusion = Confusion(2)
    confusion.counts[0, 0] = 2**40
    confusion.update(*pair)
    assert confusion.counts.dtype == np.int64
    assert confusion.counts[0, 0] == 2**40 + 10_000
    assert scores(confusion.counts).iou[0] == 1.0


@pytest.mark.parametrize(
    ("truth", "prediction", "words"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), "found uint8 (2, 3) and uint8 (3, 2)"),
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8), "found int64"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32), "float32"),
        (np.full((2, 2), 3, np.uint8), np.zeros((2, 2), np.uint8), "ground truth holds values above 2"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 254, np.uint8), "prediction holds values above 2"),
    ],
)
def test_what_cannot_be_counted_is_refused(truth: np.ndarray, prediction: np.ndarray, words: str) -> None:
    confusion = Confusion(3)
    with pytest.raises(WsssError) as caught:
        confusion.update(truth, prediction)
    assert words in str(caught.value)
    assert not confusion.counts.any()
