"""What `wsss init` does about photos without a tag: it asks, and stops where no photo has one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click

from wsss.core.errors import WsssError, raise_all
from wsss.core.log import say
from wsss.core.words import counted
from wsss.formats.problems import ALL, MOST_SHOWN, Finding, shortened, some
from wsss.formats.settings import DatasetSettings

if TYPE_CHECKING:
    from wsss.formats.build import Survey

Answer = Literal["keep", "error"]


def has_tags(survey: Survey | None) -> bool:
    """True if some tag could be read, or if there is no photo that could have one."""
    return survey is not None and (any(each.tags for each in survey.index.records) or not survey.index.records)


def need_tags(survey: Survey | None, problems: Sequence[WsssError]) -> Survey:
    """The survey of a data set that `has_tags`. Else raises its `problems`: no settings would help."""
    if survey is not None and has_tags(survey):
        return survey
    if survey is not None:
        say("\n".join(survey.reading))  # a column that was taken for another is seen here
    raise_all(shortened(problems, MOST_SHOWN, ALL))
    raise AssertionError("no tag, and no problem that says why")


def settle(
    dataset: DatasetSettings, survey: Survey, problems: list[WsssError], answer: Answer | None
) -> tuple[DatasetSettings, Survey]:
    """`dataset` with the decision what photos without a tag are, and the survey, in which a warning tells a default.

    Where they are errors, `problems` gets one for all of them. Nobody means most photos of a set to show nothing: these
    are errors, if nobody says otherwise.
    """
    paths = survey.untagged
    few = 2 * len(paths) <= len(survey.index.records) or not survey.index.records
    unasked = answer is None and paths and not dataset.allow_untagged and not _asks()
    if unasked and not few:
        answer = "error"
    elif unasked:
        what = (
            f"{counted(len(paths), 'photo')} without a tag ({some(paths)}): kept as photos of no class "
            "(allow_untagged: true), as nobody could be asked"
        )
        default = Finding(what, "tag those that were forgotten; --untagged keep or error answers in advance")
        return allowing(dataset, True), replace(
            survey, findings=(default, *survey.findings), forgotten=(), negatives=()
        )
    kept = keeps(paths, answer, dataset.allow_untagged, len(survey.index.records))
    if paths and not kept:
        from wsss.formats.build import untagged_problem

        problems.append(untagged_problem(dataset, paths))
        survey = replace(survey, forgotten=(), negatives=())  # they are among these
    return allowing(dataset, kept), survey


def keeps(paths: tuple[str, ...], answer: Answer | None, chosen: bool, photos: int) -> bool:
    """Whether those at `paths`, of so many `photos`, are kept: as `answer` says, as was `chosen` already, or as a
    person says.
    """
    if answer is not None:
        return answer == "keep"
    if chosen or not paths:
        return chosen
    what = f"{counted(len(paths), 'photo')} without a tag ({some(paths)})"
    few = 2 * len(paths) <= photos
    if not few:
        what += f", which are most of your {photos}: all of these would be learnt as showing none of the classes"
    return click.confirm(f"{what}: keep as negatives, photos of no class?", default=few, err=True)


def allowing(dataset: DatasetSettings, untagged: bool) -> DatasetSettings:
    """`dataset` with or without photos that have no tag."""
    return dataset.model_copy(update={"allow_untagged": untagged})


def _asks() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
