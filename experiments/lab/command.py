"""`python -m experiments lab FOLDER`: ideas on every set, and whom they help."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch

from experiments.lab.chain import Idea, Params, World, bound, open_world, run
from experiments.lab.ideas import IDEAS
from experiments.zoo import run_set
from wsss.core.atomic import write_text
from wsss.core.log import say
from wsss.core.params import load

RESULTS = Path("experiments/results/lab")
"""A file for each set: the scores of each idea."""
BASE, BOUND = "base", "bound"
PREPARED = ("index", "pretrain", "train")
"""Stages that make the frozen network of a set, run once."""
MARGIN = 1.0
"""Points of mIoU from which an idea helps a set, or hurts it: less is noise of one seed."""
SHOWN = {"cam": "CAM, best threshold (oracle)", "labels": "labels", "first": "first student", "student": "student"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--work", type=click.Path(path_type=Path), default=".lab", show_default=True, help="of features")
@click.option("--set", "only", multiple=True, metavar="SET", help="of the folders; default: all")
@click.option("--idea", "ideas", multiple=True, type=click.Choice(list(IDEAS)), help="default: base")
@click.option("--again", is_flag=True, help="also where there is a result")
def main(folders: tuple[Path, ...], work: Path, only: tuple[str, ...], ideas: tuple[str, ...], again: bool) -> None:
    """Try ideas on every set in FOLDERS (data sets, or folders of data sets), and print the differences to `base`.

    Masks score and choose nothing, but for the oracle of the CAMs and the student that is the upper bound.
    """
    for place in sorted(found for folder in folders for found in sets_in(folder)):
        if only and place.name not in only:
            continue
        file = RESULTS / f"{place.name}.json"
        known: dict[str, dict[str, float]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        wanted = [name for name in (BASE, *ideas) if again or name not in known]
        if not wanted and BOUND in known:
            continue
        os.environ["WSSS_WORKERS"] = "0"
        run_set(place.resolve(), work / place.name, PREPARED, "quick")
        settings = located(work / place.name)
        world = open_world(work / place.name, settings)
        for name in wanted:
            known[name] = timed(place.name, name, world, settings, IDEAS[name])
            world.backbone.save()
            write_text(file, json.dumps(known, indent=1) + "\n")
        if again or BOUND not in known:
            known[BOUND] = {"student": bound(world, settings)}
            write_text(file, json.dumps(known, indent=1) + "\n")
    click.echo(markdown(results()), nl=False)


def sets_in(folder: Path) -> list[Path]:
    """`folder` itself where it is a set in VOC's layout, else those in it."""
    return [path for path in (folder, *sorted(folder.iterdir())) if (path / "ImageSets").is_dir()]


def located(work: Path) -> Params:
    """The settings that `wsss init` wrote to `work`, without the floor: it came later, and is one of the ideas."""
    return changed(load(work / "params.yaml", Params), {"cams.floor": 0.0})


def timed(place: str, name: str, world: World, settings: Params, idea: Idea) -> dict[str, float]:
    """The scores of one idea, and the CPU seconds that it took."""
    torch.manual_seed(settings.seed)
    begin = time.process_time()
    found = run(world, changed(settings, idea.settings), idea)
    found["seconds"] = time.process_time() - begin
    say(f"{place}: {name}: " + ", ".join(f"{key} {value:.1f}" for key, value in found.items()))
    return found


def changed(settings: Params, changes: Mapping[str, Any]) -> Params:
    """`settings` with other values for some dotted keys."""
    for key, value in changes.items():
        section, *way = key.split(".")
        settings = settings.model_copy(update={section: _changed(getattr(settings, section), way, value)})
    return settings


def _changed(section: Any, way: Sequence[str], value: Any) -> Any:
    if not way:
        return value
    if way[0] not in type(section).model_fields:
        raise KeyError(f"no setting {way[0]!r}")
    return section.model_copy(update={way[0]: _changed(getattr(section, way[0]), way[1:], value)})


def results() -> dict[str, dict[str, dict[str, float]]]:
    """By set, then by idea, the scores."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def markdown(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Two tables: what `base` scores on each set, and by how much the student of each idea differs from it."""
    lines = [["set", *SHOWN.values(), "student of masks", "ratio"], ["---", *["--:"] * (len(SHOWN) + 2)]]
    for place, ideas in found.items():
        base, top = ideas[BASE], ideas.get(BOUND, {}).get("student")
        ratio = ["", ""] if top is None else [f"{top:.1f}", f"{base['student'] / top:.2f}"]
        lines.append([place, *(f"{base[key]:.1f}" for key in SHOWN), *ratio])
    names = [name for name in IDEAS if name != BASE and any(name in ideas for ideas in found.values())]
    others = [["idea", *found, "mean", "helps", "hurts"], ["---", *["--:"] * (len(found) + 3)]]
    for name in names:
        gains = {p: i[name]["student"] - i[BASE]["student"] for p, i in found.items() if name in i}
        cells = [f"{gains[place]:+.1f}" if place in gains else "" for place in found]
        helped, hurt = (sum(sign * gain >= MARGIN for gain in gains.values()) for sign in (1, -1))
        others.append([name, *cells, f"{sum(gains.values()) / len(gains):+.1f}", str(helped), str(hurt)])
    tables = [lines, others] if names else [lines]
    return "\n".join("".join(f"| {' | '.join(line)} |\n" for line in table) for table in tables)
