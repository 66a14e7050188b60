"""The linear probe against an independent minimiser, and what it does with classes that all or no photos have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from tests.toy_oste import toy_network
from wsss.data.index import Record
from wsss.numeric.precision import average_precisions, mean_known
from wsss.training.probe import STRENGTH, Probe, evenly, fit_probe


def drawn(photos: int = 40, channels: int = 5, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    features = (generator.normal(2, 3, (photos, channels)) * [1, 10, 0.1, 1, 5]).astype(np.float32)
    tags = features @ generator.normal(0, 1, (channels, classes)) > np.array([0, 10, -10])
    return features, tags


def test_it_minimises_the_regularised_loss_of_the_standardised_features() -> None:
    features, tags = drawn()
    found = fit_probe(features, tags)
    scaled = (features - features.mean(0)) / features.std(0)
    for number, present in enumerate(tags.T):
        signs = np.where(present, 1.0, -1.0)

        def loss(weights: np.ndarray, signs: np.ndarray = signs) -> float:
            return float(
                STRENGTH * np.logaddexp(0, -signs * (scaled @ weights[1:] + weights[0])).sum()
                + weights[1:] @ weights[1:] / 2
            )

        best = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-9}).x
        expected = scaled @ best[1:] + best[0]
        np.testing.assert_allclose(features @ found.weight[number] + found.bias[number], expected, atol=2e-3)


def test_without_a_bias_it_minimises_the_loss_of_scaled_features() -> None:
    features, tags = drawn()
    found = fit_probe(features, tags, bias=False)
    scaled = features / features.std(0)
    assert not found.bias.any()
    for number, present in enumerate(tags.T):
        signs = np.where(present, 1.0, -1.0)

        def loss(weights: np.ndarray, signs: np.ndarray = signs) -> float:
            return float(STRENGTH * np.logaddexp(0, -signs * (scaled @ weights)).sum() + weights @ weights / 2)

        best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-9}).x
        np.testing.assert_allclose(features @ found.weight[number], scaled @ best, atol=2e-3)


def test_a_class_of_all_photos_or_none_is_its_frequency() -> None:
    features, tags = drawn()
    tags[:, 0], tags[:, 1] = True, False
    found = fit_probe(features, tags)
    assert not found.weight[:2].any()
    probability = 1 / (1 + np.exp(-found.bias[:2]))
    assert probability == pytest.approx([40.5 / 41, 0.5 / 41])


def test_put_into_a_network_its_logits_are_the_probes_and_its_maps_are_centred() -> None:
    network = toy_network().eval()
    generator = np.random.default_rng(1)
    channels = network.head.in_channels
    probe = Probe(*(generator.normal(0, 1, size).astype(np.float32) for size in ((3, channels), 3, channels)))
    probe.put_into(network)
    features = torch.from_numpy(generator.normal(0, 1, (2, channels, 4, 5)).astype(np.float32))
    expected = features.mean((2, 3)).numpy() @ probe.weight.T + probe.bias
    np.testing.assert_allclose(network.logits(features).detach().numpy(), expected, atol=1e-4)
    at_the_mean = network.head(torch.from_numpy(probe.mean)[None, :, None, None])
    np.testing.assert_allclose(at_the_mean.detach().numpy(), 0, atol=1e-4)


def test_evenly_keeps_all_of_few_and_spreads_many() -> None:
    records = [Record(str(number), "train", "", None, (), 1, 1, "") for number in range(10)]
    assert evenly(records, 20) == records
    assert [record.id for record in evenly(records, 3)] == ["0", "3", "6"]
    assert evenly([], 5) == []


def test_average_precision_of_what_cannot_be_judged_is_nan() -> None:
    tags = np.array([[1, 0, 1], [1, 0, 0]], bool)
    found = average_precisions(tags, np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 1.0]]))
    assert np.isnan(found[:2]).all()
    assert mean_known(found) == 1.0
    assert np.isnan(mean_known(found[:2]))
