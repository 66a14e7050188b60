"""What `train` costs of the tags' average precision, and how much of that the held-out photos can tell.

The difference of the classifier before `train` and after it, with the 95 % interval of a paired bootstrap over the
photos of val: the same photos, drawn with replacement, judge both. Run it where a pipeline has run up to `train`; the
artifacts are only read, and no mask is.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import numpy as np

from wsss.core.params import Settings, load
from wsss.core.stage import stage_command
from wsss.data.index import read_index
from wsss.data.photos import Location
from wsss.models.classifier import Classifier, load_classifier
from wsss.models.oste import load_oste
from wsss.numeric.device import device
from wsss.numeric.precision import average_precisions, mean_known
from wsss.training.judge import HELD_OUT, scores
from wsss.training.oste import TrainSettings
from wsss.training.probe import over_photos, tags_of

DRAWS = 1000


class Params(Settings):
    """What this comparison reads of params.yaml."""

    dataset: Location
    train: TrainSettings


@stage_command
@click.option("--artifacts", type=click.Path(path_type=Path), default="artifacts")
def main(params: Path, artifacts: Path) -> str:
    """Print the mean AP of val's tags before `train` and after it, their difference and its interval."""
    settings, index = load(params, Params), read_index(artifacts / "dataset")
    records, photos = index.split(HELD_OUT), settings.dataset.photos(index.records)
    stride = settings.train.output_stride
    networks: dict[str, Classifier] = {
        "before": load_classifier(artifacts / "backbone.pt", index.classes, stride)[0],
        "after": load_oste(artifacts / "oste.pt", index.classes, stride)[0],
    }
    tags = tags_of(records, index.foreground)
    known = {}
    for name, network in networks.items():
        network.to(device()).eval()
        known[name] = over_photos(photos, records, partial(scores, network), device(), name)
    before, after = (mean_known(average_precisions(tags, known[name])) for name in networks)
    low, high = interval(tags, known["before"], known["after"], np.random.default_rng(0))
    click.echo("| photos | before `train` | after it | difference | 95 % interval |\n| --: | --: | --: | --: | --: |")
    click.echo(f"| {len(records)} | {before:.3f} | {after:.3f} | {after - before:+.3f} | {low:+.3f} to {high:+.3f} |")
    return f"{len(records)} photos"


def interval(
    tags: np.ndarray, before: np.ndarray, after: np.ndarray, rng: np.random.Generator, draws: int = DRAWS
) -> tuple[float, float]:
    """Between which the difference of the mean AP, `after` less `before`, lies in 95 % of `draws` samples of photos.

    `tags`: (N, K) bool; `before`, `after`: (N, K) scores. A class that a sample gives to no photo, or to all, is left
    out of that sample on both sides.
    """
    found = []
    for _ in range(draws):
        drawn = rng.integers(len(tags), size=len(tags))
        first, then = (mean_known(average_precisions(tags[drawn], each[drawn])) for each in (before, after))
        found.append(then - first)
    low, high = np.nanquantile(found, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
