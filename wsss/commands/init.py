"""`wsss init`: params.yaml for one's own photos, with the data set's section filled in, and what the settings mean."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from wsss.commands.again import Again
from wsss.commands.check import Params, look, report_parts, warnings_of
from wsss.commands.outside import brought
from wsss.commands.plan import NOT_WANTED, derived_plan, no_estimate_option, with_estimate
from wsss.commands.project_folder import is_here, project_first, to_run, wants_project
from wsss.commands.replacing import refuse_edited, replace, sealed
from wsss.commands.standing import recipe_of, told_apart
from wsss.commands.too_high import tables_below
from wsss.commands.untagged import allowing, need_tags, settle
from wsss.core.atomic import write_text
from wsss.core.command import json_option, json_text, people_command, show_early
from wsss.core.errors import UserError, WsssError, raise_all
from wsss.core.log import say
from wsss.core.minutes import note_estimate, work_of
from wsss.core.params import load
from wsss.core.project import make_project
from wsss.core.recipes import SCHEMA, read_recipe, recipe_path, with_dataset
from wsss.core.words import counted
from wsss.formats.guess import dataset_yaml, guess_dataset, refuse_data
from wsss.formats.settings import DatasetSettings

if TYPE_CHECKING:
    from wsss.commands.plan import Plan

QUICK, FULL = "quick", "photos"
"""The recipes for any photos: minutes on a processor, and the better masks; `FULL` is the default."""
FEW = 1000
"""Training photos up to which `QUICK` is proposed to someone without a GPU: it was made for some hundreds."""
LAYOUT = ("format", "tags", "classes")
"""Keys of section `dataset` that say how the data lie. Where they are a recipe's, its other choices hold as well."""
ASKED = ("photo_column", "tag_column", "drop")
"""Keys of section `dataset` that are options as well."""


@people_command
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--tags",
    type=click.Path(path_type=Path),
    help="table of tags; default: what FOLDER holds. One that lies elsewhere is copied there",
)
@click.option("--photo-column", metavar="NAME", default="", help="heading of its column that names the photos")
@click.option("--tag-column", metavar="NAME", default="", help="heading of its column of tags, of several")
@click.option("--drop", metavar="CLASS", multiple=True, help="class to leave out; may be given several times")
@click.option("--recipe", help=f"recipe that gives all other settings: {QUICK}, {FULL} (the default) or another")
@click.option("--params", type=click.Path(path_type=Path), default="params.yaml", help="file to write")
@click.option("--force", is_flag=True, help="replace a file that was edited; it is kept beside the new one")
@click.option(
    "--untagged",
    type=click.Choice(["keep", "error"]),
    help="photos without a tag: negatives to train on, or errors; default: ask, and where nobody can answer keep "
    "them, if they are at most half",
)
@click.option(
    "--project/--no-project",
    default=None,
    help="where wsss is an installed package: make this folder a project (dvc.yaml, .dvc); default: ask",
)
@no_estimate_option
@json_option
def main(
    folder: Path | None,
    tags: Path | None,
    photo_column: str,
    tag_column: str,
    drop: tuple[str, ...],
    recipe: str | None,
    params: Path,
    force: bool,
    untagged: Literal["keep", "error"] | None,
    project: bool | None,
    no_estimate: bool,
    as_json: bool,
) -> str:
    """Write params.yaml for the photos in FOLDER: layout, tags, masks and class names are looked for there.

    Prints how they were read, what `wsss check` says of them, the values that the settings' rules derive from them, and
    how long the pipeline will take on this machine. Where no tag can be read, it writes the settings for `wsss check`
    and stops with exit code 2; problems of some rows or photos leave it at 0, and `wsss check` at 2. Few photos and no
    GPU: without --recipe, also how long the quick recipe would take. Outside of a checkout it also makes the folder you
    are in a project, if you like: dvc.yaml and .dvc, for `dvc repro`. `wsss init --project` alone does that and nothing
    else.
    """
    makes = wants_project(project, folder, params)
    if folder is None:
        return "\n".join(f"wrote {path}" for path in make_project(Path()))
    chosen, recipe = recipe, recipe or FULL
    text, given = read_recipe(recipe), load(recipe_path(recipe), Params)
    refuse_data(params)
    asked: dict[str, str | tuple[str, ...]] = {"photo_column": photo_column, "tag_column": tag_column, "drop": drop}
    if not force:
        try:
            refuse_edited(params)
        except UserError as error:
            derive = partial(_derived, folder, tags, asked, chosen, params)
            raise told_apart(error, params, derive, untagged, chosen) from error
    tags = brought(tags, folder)
    again = Again(folder, tags, asked, chosen, params, force)
    guessed = guess_dataset(folder, tags, again.options).model_copy(update=asked)
    dataset = with_choices(guessed, given.dataset)
    # Negatives are welcome, so that the first look treats them as such; then one is asked.
    survey, problems = look(given.model_copy(update={"dataset": allowing(dataset, True)}))
    problems = [again.pasteable(each) for each in problems]
    raise_all([each for each in problems if drop and each.where == "dataset.drop"])
    try:
        survey = need_tags(survey, problems)
    except WsssError as error:
        say(str(error))
        # For `wsss check`, which lists all there is to correct; nothing is planned for photos without a tag.
        _, old = replace(params, _settings_text(text, recipe, dataset, params), force)
        written = f"{params}{_aside(old)} is written as far as the data set could be read"
        say(f"{written}: wsss check {params} lists all errors")
        sys.exit(error.exit_code)
    dataset, survey = settle(dataset, survey, problems, untagged)
    made = make_project(Path()) if makes else []
    backup, old = replace(params, _settings_text(text, recipe, dataset, params), force)
    findings = [*tables_below(dataset, again), *warnings_of(survey, dataset)]
    parts = [f"project: {', '.join(map(str, made))}"] if made else []
    written = f"{params}: settings of recipes/{recipe}.yaml{_aside(old)}, and this data set:"
    parts.append(f"{written}\n\n{dataset_yaml(dataset).rstrip()}")
    parts += report_parts(dataset.root, survey, findings, problems)
    plan = derived_plan(params, survey.index, NOT_WANTED if no_estimate else "") if survey.index.records else None
    if not as_json:
        show_early("\n\n".join([*parts, *([plan.known()] if plan else [])]) + "\n")
    if plan is not None:
        plan = with_estimate(plan, params, survey.index)
        if is_here(params):  # the one that stages read
            photos = len(survey.index.records)
            work = work_of(recipe, dataset.root, photos) if plan.stages else ""
            note_estimate({each.stage: (each.low, each.high) for each in plan.stages}, work, photos)
    offer = None
    if plan is not None and chosen is None and is_small(plan):
        offer = quick_plan(guessed, dataset.allow_untagged, given.seed)
    if as_json:
        return json_text(
            {
                "params": str(params),
                "project": [str(path) for path in made],
                "backup": None if backup is None else str(backup),
                "replaced": old or None,
                "recipe": recipe,
                "dataset": dataset.model_dump(),
                "reading": list(survey.reading),
                "untagged": list(survey.untagged),
                "errors": [{"where": each.where, "what": each.what, "fix": each.fix} for each in problems],
                "warnings": [{"what": each.what, "fix": each.fix} for each in findings],
                "plan": None if plan is None else plan.as_json(),
                "quick": None if offer is None else offer.as_json(),
            }
        )
    parts = [] if plan is None else [plan.estimate()]
    if plan is not None and offer is not None:
        parts.append(proposal(offer, plan, dataclasses.replace(again, recipe=QUICK, force=False)))
    return "\n\n".join([*parts, _next(len(problems), len(findings), params)])


def is_small(plan: Plan) -> bool:
    """True if `plan` trains on a CPU, and on few photos."""
    from wsss.numeric.device import device

    return bool(plan.stages) and plan.fingerprint.photos.get("train", 0) <= FEW and device().type == "cpu"


def quick_plan(guessed: DatasetSettings, untagged: bool, seed: int) -> Plan | None:
    """The plan of recipe `QUICK` for the photos of `guessed`; None if it has no estimate."""
    text, given = read_recipe(QUICK), load(recipe_path(QUICK), Params)
    dataset = allowing(with_choices(guessed, given.dataset), untagged)
    survey, _ = look(Params(seed=seed, dataset=dataset))
    if survey is None:
        return None
    with tempfile.TemporaryDirectory(prefix="wsss-init-") as folder:
        params = Path(folder) / "params.yaml"
        write_text(params, _settings_text(text, QUICK, dataset, params))
        plan = with_estimate(derived_plan(params, survey.index), params, survey.index, f"recipe {QUICK}")
    return plan if plan.stages else None


def proposal(quick: Plan, full: Plan, other: Again) -> str:
    """Both recipes in one line, with their time, and how to take the quick one: the command `other`."""
    return (
        f"recipes: {QUICK} ({quick.time}; the network stays as it came, only its last layers learn) or {FULL} "
        f"({full.time}; better masks). This is {FULL}; for the other: {other.command}"
    )


def with_choices(guessed: DatasetSettings, recipe: DatasetSettings) -> DatasetSettings:
    """`guessed` with what `recipe` chooses for its own data set, if that lies in the same layout; else with the size of
    photos alone, if the recipe says one in pixels: its cost depends on it.
    """
    if any(getattr(guessed, key) != getattr(recipe, key) for key in LAYOUT):
        return (
            guessed if recipe.long_side in ("auto", 0) else guessed.model_copy(update={"long_side": recipe.long_side})
        )
    own = {"root": guessed.root, "masks": guessed.masks}
    own |= {key: getattr(guessed, key) for key in ASKED if getattr(guessed, key)}
    return recipe.model_copy(update=own)


def _derived(
    folder: Path, tags: Path | None, asked: Mapping[str, object], chosen: str | None, params: Path
) -> tuple[str, str]:
    """The recipe that `params` was made from, where it says so, else the one that is `chosen`; and the settings that it
    would give without a look into the photos.
    """
    recipe = recipe_of(params) or chosen or FULL
    guessed = guess_dataset(folder, tags).model_copy(update=asked)
    dataset = with_choices(guessed, load(recipe_path(recipe), Params).dataset)
    return recipe, _settings_text(read_recipe(recipe), recipe, dataset, params)


def _settings_text(text: str, recipe: str, dataset: DatasetSettings, params: Path) -> str:
    header = [SCHEMA, f"# Settings for {Path(dataset.root).name}, made by `wsss init` from recipes/{recipe}.yaml."]
    header += ["# Keys that are not written here have the defaults of docs/settings.md (`wsss explain KEY`)."]
    body = text.splitlines(keepends=True)
    while body and body[0].startswith("#"):
        body.pop(0)
    return sealed(with_dataset("\n".join(header) + "\n" + "".join(body), dataset_yaml(dataset), params))


def _aside(remark: str) -> str:
    return f" ({remark})" if remark else ""


def _next(problems: int, warnings: int, params: Path) -> str:
    limits = f", {counted(warnings, 'warning')}" if warnings else ""
    if problems:
        many, makes = f"{counted(problems, 'problem')} to correct", project_first(params)
        return f"init: {many}{limits}; stages will stop until all are corrected; next: {makes}wsss check {params}"
    return f"init: nothing to correct{limits}; next: {to_run(params)}"
