"""Tags that a classifier contradicts which has not seen their photos."""

from __future__ import annotations

import numpy as np

from wsss.tag.doubt import contradictions, held_out
from wsss.training.probe import fit_probe


def test_a_probe_that_has_seen_a_wrong_tag_believes_it_and_one_that_has_not_does_not() -> None:
    random = np.random.default_rng(0)
    kinds = np.arange(60) % 3
    features = (random.normal(0, 1, (60, 600)) + np.repeat(np.eye(3), 200, 1)[kinds]).astype(np.float32)
    present = np.eye(3, dtype=bool)[kinds]
    present[7] = np.eye(3, dtype=bool)[2]  # it shows the second kind
    seen = fit_probe(features, present)
    logits = features[7] @ seen.weight.T + seen.bias
    assert logits[2] > logits[1]
    probabilities = held_out(features, present)
    assert contradictions(probabilities, present) == [(7, 2, 1)]
    assert contradictions(probabilities, np.eye(3, dtype=bool)[kinds]) == []


def test_classes_of_few_photos_are_not_judged() -> None:
    random = np.random.default_rng(1)
    present = np.zeros((40, 4), bool)
    present[:20, 0], present[20:, 1], present[:4, 2], present[:36, 3] = True, True, True, True
    found = held_out(random.normal(0, 1, (40, 20)).astype(np.float32), present)
    assert np.isnan(found[:, 2:]).all()
    assert ((found[:, :2] > 0) & (found[:, :2] < 1)).all()
    assert np.isnan(held_out(np.zeros((6, 3), np.float32), np.ones((6, 1), bool))).all()


def test_an_improbable_tag_is_contradicted_only_where_another_class_is_probable() -> None:
    probabilities = np.array([[0.05, 0.9], [0.05, 0.4], [0.3, 0.9], [np.nan, 0.9], [0.02, 0.9]])
    tagged = np.array([[True, False]] * 5)
    assert contradictions(probabilities, tagged) == [(4, 0, 1), (0, 0, 1)]
    assert contradictions(probabilities, np.ones((5, 2), bool)) == []
    assert contradictions(probabilities, np.zeros((5, 2), bool)) == []
