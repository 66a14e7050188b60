"""The three rules, pixel by pixel."""

from __future__ import annotations

import pytest
import torch

from wsss.distill.rules import RelabelSettings, relabel

SETTINGS = RelabelSettings(tau_bg=0.7, tau_fg=0.8, overrule=True, fill=False, agree=False)
FILLING = SETTINGS.model_copy(update={"fill": True})
FILLING_ALONE = FILLING.model_copy(update={"overrule": False})
AGREEING = FILLING.model_copy(update={"agree": True})
RULES = ("to_background", "to_class", "to_unsure", "filled")


def case(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Labels, their confidence, and probabilities before and after something like a CRF."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 1, 2, 3, 255], dtype=torch.uint8)[torch.randint(0, 5, (2, 20, 20), generator=generator)]
    confidence = torch.rand(2, 20, 20, generator=generator) * (labels != 255)
    logits = 4 * torch.randn(2, 2, 4, 20, 20, generator=generator)
    return labels, confidence, logits.sum(0).softmax(1), logits[0].softmax(1)


def by_pixel(
    label: int, sure: float, q: list[float], p: list[float], settings: RelabelSettings
) -> tuple[int, float, str]:
    """(label, confidence, rule). `q` before, `p` after the CRF."""
    best = max(range(1, len(p)), key=lambda k: p[k])
    first = max(range(len(p)), key=lambda k: p[k])
    if settings.agree and max(range(len(q)), key=lambda k: q[k]) != first:
        return (255, 0.0, "to_unsure") if label not in (255, first) else (label, sure, "")
    if label == 255:
        if settings.fill and p[0] > SETTINGS.tau_bg:
            return 0, p[0], "filled"
        if settings.fill and p[best] > SETTINGS.tau_fg:
            return best, p[best], "filled"
        return label, sure, ""
    if not settings.overrule:
        return label, sure, ""
    if label > 0 and p[0] > SETTINGS.tau_bg:
        return 0, p[0], "to_background"
    if label == 0 and p[best] > SETTINGS.tau_fg:
        return best, p[best], "to_class"
    if first != label:
        return 255, 0.0, "to_unsure"
    return label, sure, ""


@pytest.mark.parametrize(
    "settings", [SETTINGS, FILLING, FILLING_ALONE, AGREEING], ids=["keep", "fill", "fill alone", "agree"]
)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_rules_pixel_by_pixel(seed: int, settings: RelabelSettings) -> None:
    labels, confidence, shares, posteriors = case(seed)
    before = labels.clone()
    found = relabel(labels, confidence, shares, posteriors, settings)
    assert torch.equal(labels, before)
    assert found.labels.dtype == torch.uint8
    rules = set()
    for n, y, x in torch.ones_like(labels).nonzero().tolist():
        given = (
            int(labels[n, y, x]),
            float(confidence[n, y, x]),
            shares[n, :, y, x].tolist(),
            posteriors[n, :, y, x].tolist(),
        )
        label, sure, rule = by_pixel(*given, settings)
        assert int(found.labels[n, y, x]) == label
        assert float(found.confidence[n, y, x]) == pytest.approx(sure)
        for name in RULES:
            assert bool(getattr(found, name)[n, y, x]) is (name == rule)
        rules.add(rule)
    assert rules == {
        "",
        *RULES[0 if settings.overrule else 3 : 4 if settings.fill else 3],
    }  # or the case could not tell


def test_posteriors_that_agree_change_nothing() -> None:
    labels, confidence, shares, _ = case(0)
    labels[labels == 255] = 0
    posteriors = torch.nn.functional.one_hot(labels.long(), 4).movedim(-1, 1).float()
    found = relabel(labels, confidence, shares, posteriors, SETTINGS)
    assert torch.equal(found.labels, labels)
    assert torch.equal(found.confidence, confidence)


def test_wholly_unknown_stays_unknown() -> None:
    labels, confidence, shares, posteriors = case(1)
    unknown = torch.full_like(labels, 255)
    found = relabel(unknown, 0 * confidence, shares, posteriors, SETTINGS)
    assert torch.equal(found.labels, unknown)
    assert not found.confidence.any()
