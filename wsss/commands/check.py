"""`wsss check`: how a data set was read, everything that is wrong with it, and what would limit its result."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ConfigDict, create_model

from wsss.commands.outdated_labels import labels_of
from wsss.commands.project_folder import project_first
from wsss.core.command import json_option, json_text, people_command, show
from wsss.core.errors import ErrorList, UserError, WsssError
from wsss.core.folders import STORE_INDEX
from wsss.core.log import say
from wsss.core.params import Seed, Settings, load
from wsss.core.settings_file import line_of, read_settings
from wsss.core.words import counted
from wsss.formats.guess import refuse_data
from wsss.formats.problems import ALL, MOST_SHOWN, shortened
from wsss.formats.settings import DatasetSettings

if TYPE_CHECKING:
    from wsss.formats.build import Survey
    from wsss.formats.problems import Finding

STUDENT = Path("artifacts/student.pt")
"""What the last training of this project has made."""
EVERY_NAME = 1_000_000
"""Photos that one message of the JSON report lists."""


class SplitOf(Settings):
    """The split that a stage reads: of its section, all that matters here."""

    model_config = ConfigDict(extra="ignore")

    split: str = "val"


class Params(Settings):
    """Sections that this command reads: those of stage `index`, and what has to be there at the end of all training."""

    seed: Seed
    dataset: DatasetSettings
    evaluate: SplitOf = SplitOf()
    gallery: SplitOf = SplitOf()


@people_command
@click.argument("params", type=click.Path(path_type=Path), default="params.yaml")
@click.option("--tags-too", is_flag=True, help="also have a classifier look at the photos: which tags it contradicts")
@json_option
def main(params: Path, tags_too: bool, as_json: bool) -> str:
    """Check the data set that PARAMS names: decode every photo and mask, compare every tag, find copies.

    Also says how every column, list and folder was read, and what a later stage would refuse in PARAMS. With
    --tags-too it names tags that look wrong: those that a linear probe on a frozen network, fitted on other photos of
    the set, does not believe. That takes some seconds for a hundred photos.

    Exit code 2 if anything has to be corrected; warnings alone are 0.
    """
    refuse_data(params)
    try:
        settings = load(params, Params, whole=False)  # `later_mistakes` tells the others beside those of the data set
    except WsssError:
        load(params, Params)  # no data set is looked at: all mistakes of the file at once
        raise
    survey, problems = look(settings, EVERY_NAME if as_json else MOST_SHOWN)
    from wsss.plan.weights import missing_weights, models_to_fetch

    problems += [*later_mistakes(params, survey), *missing_weights(params)]
    findings = warnings_of(survey, settings.dataset)
    if tags_too and survey is not None:
        findings += contradicted(Path(settings.dataset.root), survey)
    fitting, unfit = labels_of(params, survey)
    problems += unfit
    later = [*models_to_fetch(params), *fitting]
    text = (
        json_text(report(settings, survey, findings, problems, later))
        if as_json
        else report_text(settings, survey, findings, problems, later)
    )
    if problems:
        show(text)
        sys.exit(UserError.exit_code)
    return text if as_json else f"{text}; next: {project_first(params)}dvc repro gallery{_trains_again(survey)}"


def _trains_again(survey: Survey | None) -> str:
    """What is said of that command where there is a student already, and photos have masks, as a person may have added
    them to score with.
    """
    if survey is None or not STUDENT.exists() or not any(record.mask for record in survey.index.records):
        return ""
    stages = " && ".join(f"python -m pipeline.{stage}" for stage in ("index", "evaluate", "gallery"))
    return f" (it trains again where photos, tags or their first masks are new; to score with masks alone: {stages})"


def look(settings: Params, names: int = MOST_SHOWN) -> tuple[Survey | None, list[WsssError]]:
    """The data set as far as it can be read (None: not at all), and all problems. `names`: photos a message lists."""
    from wsss.formats.build import examine  # loads torch: a mistake in params.yaml is told without waiting for it
    from wsss.formats.health import empty_splits, unlearnt

    try:
        survey, problems = examine(settings.dataset, settings.seed, names)
    except ErrorList as several:
        return None, list(several.errors)
    except UserError as error:
        return None, [error]
    wanted = {settings.gallery.split: "gallery", settings.evaluate.split: "evaluate", "train": "pretrain"}
    found = [*empty_splits(survey, wanted), *unlearnt(survey)]
    empty = [UserError(settings.dataset.root, each.what, each.fix) for each in found]
    return survey, sorted([*problems, *empty], key=lambda problem: _order(problem.where))


def later_mistakes(params: Path, survey: Survey | None) -> list[WsssError]:
    """What stages after `index` would refuse in the sections that `params` has, each in its turn, hours later."""
    from wsss.commands.sections import Sections
    from wsss.distill.settings import PSEUDO
    from wsss.plan.networks import impossible_network

    own = {"seed", "dataset"}
    written = {
        name: (field.annotation, field)
        for name, field in Sections.model_fields.items()
        if name in read_settings(params) and name not in own
    }
    try:
        found = load(params, create_model("Written", __base__=Settings, **written))  # type: ignore[call-overload]
        train = [] if survey is None else [r for r in survey.index.records if r.split == "train"]
        if "distill" in written and survey is not None and train:
            found.distill.planned(train, survey.index.foreground).check()
        labels = found.distill.labels if "distill" in written else PSEUDO
        if labels != PSEUDO and not (Path(labels) / STORE_INDEX).is_file():
            what = f"distill.labels: there are no labels in {labels!r}"
            fix = f"bring them in (wsss labels), correct the name, or set it to {PSEUDO}: those of stage correct"
            raise UserError(f"{params}:{line_of(read_settings(params), ['distill', 'labels'])}", what, fix)
        if error := impossible_network({name: getattr(found, name) for name in written}):
            return [error]
    except ErrorList as several:
        return list(several.errors)
    except UserError as error:
        return [error]
    return []


def warnings_of(survey: Survey | None, dataset: DatasetSettings) -> list[Finding]:
    """What does not stop the work but limits its result."""
    from wsss.commands.own_pictures import own_pictures
    from wsss.commands.slips import with_lines
    from wsss.formats.health import health_findings

    if survey is None or not survey.index.records:
        return []
    own = own_pictures(survey, Path(dataset.root))
    return [*own, *with_lines(health_findings(survey), survey, dataset)]


def contradicted(root: Path, survey: Survey) -> list[Finding]:
    """What a classifier that has not seen a photo says of its tags."""
    from wsss.tag.doubt import doubtful_tags
    from wsss.tag.suggest import backbone_look

    found = doubtful_tags(root, survey.index, backbone_look())
    if not found:
        say("check: the classifier contradicts no tag")
    return found


def report_text(
    settings: Params,
    survey: Survey | None,
    findings: Sequence[Finding],
    problems: Sequence[WsssError],
    later: Sequence[UserError],
) -> str:
    """All that `report_parts` has, and one line that counts errors and warnings. `later`: warnings of the settings."""
    photos = 0 if survey is None else len(survey.index.records)
    counts = f"{counted(len(problems), 'error')}, {counted(len(findings) + len(later), 'warning')}"
    last = f"check: {counted(photos, 'sound photo')} in {settings.dataset.root}; {counts}"
    warned = [f"warning: {each.where}: {each.what}\nfix: {each.fix}" for each in later]
    return "\n\n".join([*report_parts(settings.dataset.root, survey, findings, problems), *warned, last])


def report_parts(
    root: str, survey: Survey | None, findings: Sequence[Finding], problems: Sequence[WsssError]
) -> list[str]:
    """How the data set was read, the table of classes, warnings, and the first errors of each kind."""
    from wsss.formats.health import health_table, statements

    parts = []
    if survey is not None:
        parts += ["\n".join(survey.reading), health_table(survey)]
        parts += [f"check: {statement}" for statement in statements(survey)]
    parts += [f"warning: {root}: {finding.what}\nfix: {finding.fix}" for finding in findings]
    return parts + [str(problem) for problem in shortened(problems, MOST_SHOWN, ALL)]


def report(
    settings: Params,
    survey: Survey | None,
    findings: Sequence[Finding],
    problems: Sequence[WsssError],
    later: Sequence[UserError],
) -> dict[str, Any]:
    """The same for programs."""
    records = () if survey is None else survey.index.records
    names = () if survey is None else survey.index.classes[1:]
    splits = () if survey is None else survey.index.splits()
    return {
        "root": settings.dataset.root,
        "format": settings.dataset.format,
        "reading": [] if survey is None else list(survey.reading),
        "photos": {split: sum(r.split == split for r in records) for split in splits},
        "long_side": 0 if survey is None else survey.index.long_side,
        "classes": {
            name: {split: sum(number in r.tags for r in records if r.split == split) for split in splits}
            for number, name in enumerate(names, start=1)
        },
        "errors": [place(problem.where) | {"what": problem.what, "fix": problem.fix} for problem in problems],
        "warnings": [
            *({"what": finding.what, "fix": finding.fix} for finding in findings),
            *({"what": f"{each.where}: {each.what}", "fix": each.fix} for each in later),
        ],
    }


def place(where: str) -> dict[str, Any]:
    """``tags.csv:17`` as file and line; the line is None where there is none."""
    found = re.fullmatch(r"(.*):(\d+)", where, flags=re.DOTALL)
    return {"file": found[1], "line": int(found[2])} if found else {"file": where, "line": None}


def _order(where: str) -> tuple[str, int]:
    found = place(where)
    return found["file"], found["line"] or 0
