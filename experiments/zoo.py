"""One recipe, untouched, on every data set of a folder: does it hold for photos that nobody tuned it for?

`python -m experiments zoo FOLDER` runs `wsss init` and then the stages on each set, as a user would, in a folder of
its own below WORK, by the recipe `photos` or another. Masks score and choose nothing, but for the best of a student's
ways of looking. A set that has a result is not run again; a run that was stopped goes on.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from experiments.provenance import provenance, versions
from wsss.core.atomic import write_text
from wsss.core.errors import UserError
from wsss.core.log import say

RESULTS = Path("experiments/results/zoo")
"""A folder for each name, which is that of the recipe where none is given."""
RECIPES = ("photos", "quick")
STAGES = ("index", "pretrain", "train", "cams", "correct", "distill", "evaluate", "gallery")
BOUND = "bound"
"""After the stages, and the folder of it: the same student, trained on masks."""
CLOCK = "seconds.json"
COLUMNS = {
    "guess": "tag AP, guessing",
    "probe": "linear probe",
    "pretrain": "after `pretrain`",
    "train": "after `train`",
    "cam": "CAM, best threshold (oracle)",
    "labels": "pseudo-labels",
    "final": "student, val",
    "student": "student, val (best way, by masks)",
    "bound": "student of masks, val (best way)",
    "agreement": "agreement",
    "minutes": "CPU minutes",
    "verdict": "verdict",
    "measured": "measured",
}

WORDS = ("verdict", "measured")
"""Columns that have no mean. The latter: date, commit and precision of the trainings."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--work", type=click.Path(path_type=Path), default=".zoo", show_default=True, help="of the runs")
@click.option("--recipe", type=click.Choice(RECIPES), default=RECIPES[0], show_default=True, help="that is run")
@click.option("--name", help="of the results' folder  [default: the recipe]: a new one computes every set anew")
@click.option("--only", multiple=True, metavar="SET", help="of the folder; default: all")
@click.option(
    "--until", type=click.Choice((*STAGES, BOUND)), default=BOUND, show_default=True, help="last stage that is run"
)
def main(folder: Path, work: Path, recipe: str, name: str | None, only: tuple[str, ...], until: str) -> None:
    """Run a recipe on every set in FOLDER that has no result yet, and print the table."""
    stages = (*STAGES, BOUND)[: (*STAGES, BOUND).index(until) + 1]
    results, runs = RESULTS / (name or recipe), work / (name or recipe)
    for place in sorted(path for path in folder.iterdir() if (path / "ImageSets").is_dir()):
        result = results / f"{place.name}.json"
        done = json.loads(result.read_text(encoding="utf-8"))["stages"] if result.exists() else []
        if (not only or place.name in only) and not set(stages) <= set(done):
            run_set(place.resolve(), runs / place.name, stages, recipe)
            write_text(result, json.dumps(collect(runs / place.name), indent=1) + "\n")
    click.echo(markdown(results), nl=False)


def run_set(place: Path, work: Path, stages: Sequence[str], recipe: str) -> None:
    """`wsss init` and `stages` for the data set at `place`, in the folder `work`. `UserError` where one fails."""
    work.mkdir(parents=True, exist_ok=True)
    clock = work / CLOCK
    seconds: dict[str, float] = json.loads(clock.read_text(encoding="utf-8")) if clock.exists() else {}
    if not (work / "params.yaml").exists():
        call(work, "wsss", "init", str(place), "--untagged", "keep", "--recipe", recipe)
    for stage in stages:
        if stage not in seconds:
            seconds[stage] = run_bound(work) if stage == BOUND else call(work, f"pipeline.{stage}")
            write_text(clock, json.dumps(seconds) + "\n")


def run_bound(work: Path) -> float:
    """Train and evaluate a student of the same settings on masks, which are never overruled. CPU seconds."""
    (work / BOUND).mkdir(exist_ok=True)
    yaml = YAML()
    settings = yaml.load((work / "params.yaml").read_text(encoding="utf-8"))
    settings["distill"]["labels"] = f"{BOUND}/labels"
    settings["distill"]["relabel"]["overrule"] = False
    params = Path(BOUND, "params.yaml")
    with (work / params).open("w", encoding="utf-8") as file:
        yaml.dump(settings, file)

    def outputs(*names: str) -> list[str]:
        return [part for name in names for part in (f"--{name.partition('.')[0]}", f"{BOUND}/{name}")]

    made = outputs("relabelled", "epochs", "history.csv", "agreement.csv")
    student = ["--params", str(params), "--out", f"{BOUND}/distilled.pt", *made]
    scores = ["--params", str(params), *outputs("distilled.pt", "student.pt", "predictions", "reports")]
    return (
        call(work, "wsss", "labels", "import-masks", "--out", f"{BOUND}/labels")
        + call(work, "pipeline.distill", *student)
        + call(work, "pipeline.evaluate", *scores)
    )


def call(work: Path, module: str, *arguments: str) -> float:
    """Run a module of this checkout in `work`, its output to ``log`` there. CPU seconds of it and its workers."""
    say(f"{work.name}: {module}")
    before = time.monotonic(), os.times()
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with (work / "log").open("a", encoding="utf-8") as log:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=work, env=environment, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise UserError(work / "log", f"{module} ended with {done.returncode}", "read the end of the file")
    after = os.times()
    return after.children_user + after.children_system - before[1].children_user - before[1].children_system


def collect(work: Path) -> dict[str, Any]:
    """The numbers of one set, None for those of stages that have not run."""
    reports = work / "reports"
    before, after, agreed, sources = (
        rows(reports / name) for name in ("pretrain_tags.csv", "train_tags.csv", "agreement.csv", "sources.csv")
    )
    seconds = json.loads((work / CLOCK).read_text(encoding="utf-8"))
    words = [line for line in (work / "log").read_text(encoding="utf-8").splitlines() if line.startswith("verdict: ")]
    return {
        "stages": list(seconds),
        "guess": mean(before, "guess"),
        "probe": mean(before, "epoch_0"),
        "pretrain": mean(before, "kept"),
        "train": mean(after, "kept"),
        "cam": score(sources, "cam oracle", "train"),
        "labels": score(sources, "pseudo-label", "train"),
        "final": next(reversed(students(sources)), None),
        "student": max(students(sources), default=None),
        "bound": max(students(rows(work / BOUND / "reports" / "sources.csv")), default=None),
        "agreement": mean(agreed, "agreement"),
        "minutes": sum(seconds.get(stage, 0) for stage in STAGES) / 60,
        "verdict": words[-1].removeprefix("verdict: ") if words else "",
        "measured": made_by(),
        "versions": versions(),
    }


def made_by() -> str:
    """Today's date, the commit of this code, and the precision that trainings have here."""
    return ", ".join(provenance({}).values())


def rows(path: Path) -> list[Mapping[str, str]]:
    """Of a CSV; none where its stage has not run."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def mean(table: Sequence[Mapping[str, str]], column: str) -> float | None:
    """Of the cells that are not empty; for tags, of the classes that held-out photos can judge."""
    known = [float(row[column]) for row in table if row[column] and row.get("kept", "-")]
    return sum(known) / len(known) if known else None


def students(sources: Sequence[Mapping[str, str]]) -> list[float]:
    """mIoU of the student on val, by its ways of looking (single, scales, CRF); the last is that of the recipe."""
    return [float(row["miou"]) for row in sources if row["split"] == "val" and row["source"].startswith("student")]


def score(sources: Sequence[Mapping[str, str]], source: str, split: str) -> float | None:
    """mIoU of a row of the score table."""
    found = (float(row["miou"]) for row in sources if (row["source"], row["split"]) == (source, split))
    return next(found, None)


def markdown(folder: Path, columns: Sequence[str] = tuple(COLUMNS)) -> str:
    """The sets that have a result, one a line, and their mean; without the columns of stages that none of them ran."""
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    shown = [
        key for key in columns if not results or any(found.get(key) not in (None, "") for found in results.values())
    ]
    lines = [["set", *(COLUMNS[key] for key in shown)], ["---", *("--:" for _ in shown)]]
    lines += [[name, *(cell(key, found.get(key)) for key in shown)] for name, found in results.items()]
    if len(results) > 1:
        means = {}
        for key in (key for key in shown if key not in WORDS):
            values = [found[key] for found in results.values() if found.get(key) is not None]
            means[key] = sum(values) / len(values) if len(values) == len(results) else None
        lines.append(["mean", *(cell(key, means.get(key)) for key in shown)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(key: str, value: Any) -> str:
    """As the table shows it: AP and agreement as fractions, IoU in per cent."""
    if value is None or isinstance(value, str):
        return value or ""
    if key == "minutes":
        return f"{value:.0f}"
    return f"{100 * value:.1f}" if key in ("cam", "labels", "final", "student", "bound") else f"{value:.3f}"


if __name__ == "__main__":
    main()
