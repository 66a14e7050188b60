"""`wsss plan`: what the photos are, what the settings' rules make of them, and how long the pipeline will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsss.commands.project_folder import is_here, to_run
from wsss.core.command import json_option, json_text, people_command, show_early
from wsss.core.errors import IntegrityError, UserError, raise_all
from wsss.core.log import say, warn
from wsss.core.minutes import Span, note_estimate
from wsss.core.params import load
from wsss.formats.problems import ALL, MOST_SHOWN, shortened

if TYPE_CHECKING:
    from wsss.data.index import Index
    from wsss.plan.estimate import StageEstimate
    from wsss.plan.fingerprint import Fingerprint
    from wsss.plan.probe import Probe
    from wsss.plan.values import Value


NOT_WANTED = "left out by --no-estimate"
no_estimate_option = click.option(
    "--no-estimate",
    is_flag=True,
    help="leave out how long it will take, which is measured: seconds, on a busy machine minutes",
)


@people_command
@click.argument("params", type=click.Path(path_type=Path), default="params.yaml")
@no_estimate_option
@json_option
def main(params: Path, no_estimate: bool, as_json: bool) -> str:
    """Show what the settings in PARAMS mean for their photos: epochs, steps and crops by rule, minutes and memory.

    The minutes are an estimate, and come last: each network runs for a moment on a piece of a photo.
    """
    from wsss.formats.build import examine
    from wsss.plan.settings import Params

    settings = load(params, Params)
    survey, problems = examine(settings.dataset, settings.seed)
    if not survey.index.records:
        raise_all(shortened(problems, MOST_SHOWN, ALL))
    if problems:
        say(
            f"plan: {len(problems)} problem{'' if len(problems) == 1 else 's'} of the data set; see wsss check {params}"
        )
    made = derived_plan(params, survey.index, NOT_WANTED if no_estimate else "")
    if not as_json:
        show_early(made.known())
    made = with_estimate(made, params, survey.index)
    if made.stages and is_here(params):  # the settings that stages read
        spans = {each.stage: (each.low, each.high) for each in made.stages}
        note_estimate(spans, photos=len(survey.index.records))
    if as_json:
        return json_text(made.as_json())
    stops = problems or made.missing or made.why not in ("", NOT_WANTED)  # each has been told
    return f"\n{made.estimate()}" + ("" if stops else f"\n\nnext: {to_run(params)}")


@dataclass(frozen=True)
class Plan:
    """A data set, the values derived for it, and the estimates; `why`: why there are none; `missing`: weights that are
    not there, for which the estimates took random numbers.
    """

    fingerprint: Fingerprint
    values: Sequence[Value]
    stages: Sequence[StageEstimate]
    probe: Probe | None
    why: str = ""
    missing: Sequence[UserError] = ()

    @property
    def time(self) -> str:
        """Of all stages: ``11 to 30 min``."""
        return Span(*(sum(getattr(each, end) for each in self.stages) for end in ("low", "high"))).text()

    def known(self) -> str:
        """What needs no measuring, for a person: the photos, and the table of derived values."""
        parts = ["\n".join(self.fingerprint.lines())]
        if self.values:
            rows = [[f"{each.stage} {each.name}", each.value, each.rule] for each in self.values]
            parts.append(_table(["derived", "value", "rule"], rows))
        return "\n\n".join(parts)

    def estimate(self) -> str:
        """The table of time and memory, or why there is none."""
        parts = []
        if self.stages and self.probe:
            most = max(each.memory for each in self.stages)
            rows = [[each.stage, Span(each.low, each.high).text(), gigabytes(each.memory)] for each in self.stages]
            rows.append(["all stages", self.time, gigabytes(most)])
            probe = self.probe
            how = f"measured in {probe.took:.0f} s on {probe.cores} cores"
            busy = f" that other work keeps busy (load {probe.load:.1f}): alone it is faster" if probe.load > 1 else ""
            random = "; random numbers stood in for the missing weights" if self.missing else ""
            parts += [_table(["estimate", "time", "memory"], rows), f"({how}{busy}{random})"]
        if self.why:
            parts.append(f"no estimate: {self.why}")
        return "\n\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """The same for programs: seconds and bytes."""
        return {
            "fingerprint": asdict(self.fingerprint),
            "values": [asdict(each) for each in self.values],
            "estimate": [asdict(each) for each in self.stages],
            "probe": None if self.probe is None else asdict(self.probe),
            "why_no_estimate": self.why,
            "missing_weights": [{"where": each.where, "what": each.what, "fix": each.fix} for each in self.missing],
        }


def derived_plan(params: Path, index: Index, why: str = "") -> Plan:
    """The plan of `params` for the photos of `index` without an estimate. `why`: one is not wanted."""
    from wsss.plan.fingerprint import fingerprint
    from wsss.plan.settings import Params
    from wsss.plan.values import trainings, values
    from wsss.plan.weights import missing_weights, models_to_fetch

    settings = load(params, Params)
    data = fingerprint(index, settings.location.photos(index.records))
    if "train" not in data.photos:
        return Plan(data, (), (), None, "no photo is for training")
    unfetched = models_to_fetch(params)
    missing = [*missing_weights(params), *unfetched]
    for each in missing:  # before the moments that pass, and not after them
        warn(each.where, each.what, each.fix)
    if unfetched and not why:
        why = f"{unfetched[0].where}: what the model is like is not known before it is here"
    return Plan(data, values(settings, index, trainings(settings, index)), (), None, why, missing)


def with_estimate(plan: Plan, params: Path, index: Index, what: str = "the pipeline") -> Plan:
    """`plan`, made by `derived_plan` of the same, with an estimate if it does not say why not, in some 15 seconds.
    `what`: whose time it is.
    """
    from wsss.plan.estimate import estimate
    from wsss.plan.settings import Params
    from wsss.plan.values import trainings
    from wsss.plan.work import probe

    if plan.why:
        return plan
    settings = load(params, Params)
    made = trainings(settings, index)
    say(f"running each network for a moment, to tell how long {what} will take")
    try:
        costs = probe(settings, index, settings.location.photos(index.records), made)
    except (UserError, IntegrityError) as error:  # settings that no stage could run with, photos that cannot be read
        return replace(plan, why=f"{error.where}: {error.what}")
    return replace(plan, stages=estimate(settings, index, made, costs), probe=costs)


def gigabytes(memory: float) -> str:
    """Bytes as ``1.8 GB``; nothing for a stage that needs none to speak of."""
    return f"{memory / 1e9:.1f} GB" if memory else ""


def _table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    first = "  ".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True)).rstrip()
    return "\n".join([first, "-" * max(map(len, [first, *lines])), *lines])
