"""Rules (a)–(e), pixel by pixel, and whole photos."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.toy_mixtures import FIXED, GMM, WITH_CRF, hills
from wsss.correct.fixed import fixed_pseudo_label
from wsss.correct.gmm import (
    Corrected,
    apply_rules,
    by_posterior,
    corrected_label,
    fill_up,
    fixed_cuts,
    joint,
    look_up,
    to_index,
)
from wsss.correct.labels import to_class_ids
from wsss.correct.mixtures import TABLE, GmmSettings, fit_maps

CRF_GMM, CRF_FIXED = (settings.model_copy(update={"crf": WITH_CRF}) for settings in (GMM, FIXED))


def pixel(old: int, *sure: float, settings: GmmSettings = GMM, moved: bool = False) -> tuple[int, list[list[int]]]:
    """Label and counts of a photo of one pixel; `sure`: background, then the classes."""
    new, counts = apply_rules(
        np.array([[old]], np.uint8), np.array(sure, np.float32)[:, None, None], np.array([[moved]]), settings
    )
    return int(new[0, 0]), counts.tolist()


def test_rule_a_a_class_becomes_background_where_that_is_sure() -> None:
    assert pixel(1, 0.95, 0.05, 0.0) == (0, [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])


def test_rule_b_background_becomes_a_class_where_that_is_sure() -> None:
    assert pixel(0, 0.05, 0.0, 0.95) == (2, [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("old", "sure", "row"),
    [
        (1, (0.05, 0.0, 0.95), 0),  # another class is sure
        (1, (0.5, 0.5, 0.0), 0),  # nothing is
        (1, (0.0, 0.5, 0.5), 0),  # two classes are alike
        (0, (0.5, 0.1, 0.4), 1),  # background is not sure: the class that stands against it
    ],
)
def test_rule_c_any_other_disagreement_is_unsure(old: int, sure: tuple[float, ...], row: int) -> None:
    new, counts = pixel(old, *sure)
    assert new == 255
    assert counts[row] == [0, 0, 1, 0, 0]
    assert sum(map(sum, counts)) == 1


def test_rule_d_counts_what_the_crf_moved() -> None:
    assert pixel(1, 0.0, 1.0, moved=True) == (1, [[0, 0, 0, 1, 0]])


def test_rule_e_fills_what_the_thresholds_left_open() -> None:
    assert pixel(255, 0.02, 0.0, 0.98) == (2, [[0, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    assert pixel(255, 0.95, 0.0, 0.05)[0] == 0
    assert pixel(255, 0.5, 0.0, 0.5)[0] == 255
    without = GMM.model_copy(update={"fill": False})
    assert pixel(255, 0.02, 0.0, 0.98, settings=without) == (255, [[0] * 5, [0] * 5])


def test_agreement_stays() -> None:
    for old, sure in ((0, (1.0, 0.0, 0.0)), (1, (0.0, 1.0, 0.0)), (2, (0.0, 0.05, 0.95)), (255, (0.4, 0.3, 0.3))):
        assert pixel(old, *sure) == (old, [[0] * 5, [0] * 5])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("changes", [{}, {"fill": False}, {"tau_fg": 0.5, "tau_bg": 0.6, "lead": 0.0}, {"lead": 0.4}])
def test_rules_equal_a_loop_over_pixels(seed: int, changes: dict[str, float]) -> None:
    settings = GMM.model_copy(update=changes)
    rng = np.random.default_rng(seed)
    classes, size = 3, (12, 15)
    sure = rng.dirichlet([0.2] * (classes + 1), size).transpose(2, 0, 1).astype(np.float32)
    old = rng.choice([0, 1, 2, 3, 255], size).astype(np.uint8)
    moved = rng.random(size) < 0.2
    new, counts = apply_rules(old, sure, moved, settings)
    expected = np.zeros((classes, 5), int)
    for y, x in product(*map(range, size)):
        background, *claims = (float(value) for value in sure[:, y, x])
        ordered = sorted(claims, reverse=True)
        winner = claims.index(ordered[0]) + 1
        wanted = 255
        if background >= settings.tau_bg:
            wanted = 0
        if ordered[0] >= settings.tau_fg and np.float32(ordered[0]) - np.float32(ordered[1]) >= settings.lead:
            wanted = winner
        before = int(old[y, x])
        stake = (before if before not in (0, 255) else winner) - 1
        after = before
        if before == 255:
            if wanted != 255 and settings.fill:
                after, rule = wanted, 4
                expected[stake, rule] += 1
        elif wanted != before:
            rule = 0 if wanted == 0 else 1 if before == 0 and wanted != 255 else 2
            after = wanted if rule < 2 else 255
            expected[stake, rule] += 1
        if moved[y, x]:
            expected[stake, 3] += 1
        assert new[y, x] == after, (y, x)
    assert np.array_equal(counts, expected)


def test_step_5_with_one_class_has_no_second() -> None:
    sure = np.array([[[0.05, 0.95, 0.5]], [[0.95, 0.05, 0.5]]], np.float32)
    assert by_posterior(sure, GMM).tolist() == [[1, 0, 255]]


def test_joint_of_two_sure_classes_leaves_the_choice_to_the_scores() -> None:
    background, foreground = np.zeros((2, 1, 1)), np.ones((2, 1, 1))
    found = joint(background, foreground, np.array([[[0.9]], [[0.3]]]))
    np.testing.assert_allclose(found[:, 0, 0], [0.0, 0.75, 0.25], atol=1e-3)
    sums = joint(1 - foreground * 0.2, foreground * 0.2, np.ones((2, 1, 1))).sum(0)
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)


def test_a_class_that_fills_its_photos_takes_what_would_be_background() -> None:
    found = np.array([[0.9, 0.5, 0.9], [0.1, 0.4, 0.1], [0.0, 0.1, 0.0]], np.float32)[:, None]
    filled = np.array([[0.0, 0.0, 0.6], [0.9, 0.9, 0.4]], np.float32)[:, None]
    fill_up(found, filled)
    expected = np.array([[0.0, 0.0, 0.0], [0.1, 0.4, 1.0], [0.9, 0.6, 0.0]])[:, None]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    before = found.copy()
    fill_up(found, np.full_like(filled, 0.5))
    assert np.array_equal(found, before)


def test_look_up_is_the_value_at_the_score() -> None:
    tables = np.stack([np.linspace(0, 1, TABLE), np.linspace(1, 0, TABLE) ** 2])
    scores = np.random.default_rng(0).random((2, 5, 6))
    found = look_up(tables, scores)
    np.testing.assert_allclose(found[0], scores[0], atol=1e-3)
    np.testing.assert_allclose(found[1], (1 - scores[1]) ** 2, atol=2e-3)


@pytest.mark.parametrize(("alpha", "low", "high"), [(0.5, 0.159, 0.5), (0.8, 0.0543, 0.8), (0.1, 0.2755, 0.2755)])
def test_fixed_cuts_are_those_of_section_4(alpha: float, low: float, high: float) -> None:
    assert fixed_cuts(FIXED.model_copy(update={"alpha": alpha})) == pytest.approx((low, high), abs=5e-4)


def test_index_and_class_ids_undo_each_other() -> None:
    label = np.array([[0, 4, 9, 255]], np.uint8)
    index = to_index(label, np.array([4, 9]))
    assert index.tolist() == [[0, 1, 2, 255]]
    assert np.array_equal(to_class_ids(index, np.array([4, 9])), label)


def photo(
    maps: np.ndarray, crf: bool = False, settings: GmmSettings | None = None, filled: np.ndarray | None = None
) -> tuple[Corrected, np.ndarray]:
    """The corrected label of a photo of 112×160 in which the classes are 3, 4, …; and what was corrected."""
    image = np.random.default_rng(0).integers(90, 110, (112, 160, 3), np.uint8)
    image[:, :48] //= 2
    classes = np.arange(3, 3 + len(maps))
    gmm, fixed = (CRF_GMM, CRF_FIXED) if crf else (GMM, FIXED)
    gmm = settings or gmm
    (mixtures,) = fit_maps([maps], gmm, None)
    made = corrected_label(image, maps, classes, mixtures, fixed, gmm, filled=filled)
    return made, fixed_pseudo_label(image, np.nan_to_num(maps), classes, fixed).label


@pytest.mark.parametrize("crf", [False, True])
def test_two_hills_are_parted_between_them(crf: bool) -> None:
    """The thresholds .16/.5 call most of the lower hill, at .2, neither; the mixture sees that it is background."""
    made, before = photo(hills(0)[None], crf)
    truth = np.zeros((112, 160), np.uint8)
    truth[:, :48] = 3
    assert (before == 255).mean() > 0.5
    assert (made.label == truth).mean() > 0.9
    assert made.counts[0, 4] > 0.5 * truth.size
    assert (made.confidence[made.label != 255] >= 0.9).all()
    assert not made.confidence[made.label == 255].any()
    assert 0.25 < made.cuts[0, 0] < made.cuts[0, 1] < 0.6


@pytest.mark.parametrize("crf", [False, True])
def test_of_a_photo_that_its_class_fills_nothing_is_background(crf: bool) -> None:
    map_ = hills(0)[None]
    made, _ = photo(map_, crf, filled=np.ones_like(map_, bool))
    assert not (made.label == 0).any()
    assert (made.label == 3).mean() > 0.9
    half = np.zeros_like(map_, bool)
    half[:, :, 10:] = True
    right = photo(map_, crf, filled=half)[0].label[:, 80:]
    assert (right == 3).mean() > 0.9


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("bad", [0.0, 0.5, np.nan])
def test_fault_30_class_without_signal_leaves_no_background(crf: bool, bad: float) -> None:
    lost = np.full((14, 20), bad, np.float32)
    both, alone = photo(np.stack([hills(0), lost]), crf)[0], photo(hills(0)[None], crf)[0]
    assert set(np.unique(both.label)) == {3, 255}
    assert (both.label == 3)[alone.label == 3].mean() > 0.95
    assert not both.counts[1].any()
    nothing, _ = photo(lost[None], crf, GMM.model_copy(update={"tau_fg": 0.5, "lead": 0.0}))
    assert (nothing.label == 255).all()
    assert not nothing.confidence.any()


@pytest.mark.parametrize("crf", [False, True])
def test_photo_without_tags_is_background(crf: bool) -> None:
    made, _ = photo(np.zeros((0, 14, 20), np.float32), crf)
    assert not made.label.any()
    assert (made.confidence == 1).all()
    assert made.counts.shape == (0, 5)


def test_forty_classes_in_one_photo() -> None:
    maps = np.full((40, 14, 20), 0.2, np.float32) + np.random.default_rng(0).normal(0, 0.04, (40, 14, 20))
    for number in range(40):  # each its own half of a column
        maps[number, number // 20 * 7 :][:7, number % 20] += 0.6
    maps = maps.clip(0, 1).astype(np.float32)
    made, _ = photo(maps)
    assert set(np.unique(made.label)) <= {0, 255, *range(3, 43)}
    assert len(np.unique(made.label)) > 10
    assert made.counts.shape == (40, 5)


def test_guarded_map_gets_the_label_of_the_fixed_thresholds() -> None:
    settings = GMM.model_copy(update={"min_scores": 10_000})
    made, before = photo(hills(0)[None], settings=settings)
    # The label stretches the enlarged map, the mixture the map itself: their scores differ by a hair.
    assert (made.label == before).mean() > 0.97


def test_order_of_the_classes_does_not_matter() -> None:
    maps = np.stack([hills(0), np.flip(hills(1), 1)])
    image = np.random.default_rng(0).integers(0, 256, (112, 160, 3), np.uint8)
    made = []
    for order in ([0, 1], [1, 0]):
        classes = np.array([3, 7])[order]
        (mixtures,) = fit_maps([maps[order]], GMM, None)
        made.append(corrected_label(image, maps[order], classes, mixtures, FIXED, GMM).label)
    assert np.array_equal(*made)


def test_what_is_given_stays_as_it_is() -> None:
    maps = np.stack([hills(0), np.full((14, 20), np.nan, np.float32)])
    before = maps.copy()
    photo(maps)
    assert np.array_equal(maps, before, equal_nan=True)


def test_with_agree_nothing_is_sure_where_the_crf_moved_the_label() -> None:
    image = np.full((56, 80, 3), 200, np.uint8)
    image[:, :24] = 40
    cams, classes = hills(0)[None], np.array([3])
    cams[0, 6:8, 12:14] = 0.55  # a speck that the photo knows nothing of
    mixtures = fit_maps([cams], GMM, None)[0]
    half = {"tau_fg": 0.5, "tau_bg": 0.5}
    plain, smooth = (settings.model_copy(update=half) for settings in (GMM, CRF_GMM))
    agreeing = smooth.model_copy(update={"agree": True})
    without, free, strict = (
        corrected_label(image, cams, classes, mixtures, CRF_FIXED, settings) for settings in (plain, smooth, agreeing)
    )
    apart = (without.label != free.label) & (without.label != 255) & (free.label != 255)
    assert apart.any()  # or the case could not tell
    assert (strict.label[apart] == 255).all()
    assert not strict.confidence[apart].any()
    same = strict.label != 255
    assert same.any()
    assert np.array_equal(strict.label[same], free.label[same])
    assert np.array_equal(strict.counts[:, 3], free.counts[:, 3])  # what the CRF moved is counted alike
