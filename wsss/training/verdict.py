"""What the tags say of a trained classifier, in words: usable or not, and which classes are not learnt."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from wsss.core.errors import UserError
from wsss.core.log import say, warn
from wsss.data.tables import csv_text
from wsss.numeric.precision import mean_known
from wsss.training.judge import HELD_OUT, TagTable

Verdict = Literal["stop", "warn"]
SIGNAL, GOOD = 0.9, 0.8
"""Fraction of a class's photos with a map below which something is wrong, and the AP from which it is the tags."""
NAMED = 8
"""Classes that a line names; the rest are counted."""


def tags_csv(table: TagTable) -> str:
    """A line for each class: photos, AP of guessing, AP after each look, AP of the state that was kept."""
    looks = sorted(table.looks)
    header = ["class", "photos", "tagged", "guess", *(f"epoch_{epoch}" for epoch in looks), "kept", "verdict"]
    rows, unlearnt = [], table.unlearnt()
    for number, name in enumerate(table.classes):
        values = [table.guess, *(table.looks[epoch] for epoch in looks), table.after]
        cells = ["" if np.isnan(column[number]) else f"{column[number]:.4f}" for column in values]
        judged = "" if np.isnan(table.after[number]) else "not learnt" if number in unlearnt else "learnt"
        rows.append([name, table.photos, int(table.tagged[number]), *cells, judged])
    return csv_text(header, rows)


def tags_text(table: TagTable, before: str) -> str:
    """The same for people, the worst class first; `before` names what the training began with."""
    order = np.argsort(np.where(np.isnan(table.after), 2, table.after), kind="stable")
    lines = [["class", "tagged", "guessing", before, "now"]]
    for number in order:
        values = (table.guess[number], table.before[number], table.after[number])
        name, tagged = table.classes[number], str(int(table.tagged[number]))
        lines.append([name, tagged, *("–" if math.isnan(value) else f"{value:.2f}" for value in values)])
    means = [mean_known(table.guess[~np.isnan(table.after)]), mean_known(table.before), mean_known(table.after)]
    lines.append(["mean", str(table.photos), *(f"{value:.2f}" for value in means)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in lines]
    return "\n".join([f"average precision of the tags of {table.photos} {HELD_OUT} photos", *text])


def judge_tags(stage: str, table: TagTable, before: str, verdict: Verdict) -> str:
    """Print the table and what follows from it; return it in few words, for the stage's last line.

    Raises `UserError` if the tags are told no better than by guessing and `verdict` is stop.
    """
    if not table.judged:
        what = f"no class is in some {HELD_OUT} photos and not in others, so nothing says whether the tags were learnt"
        warn(
            stage, what, "give some photos of each class the split val (dataset.val_fraction, or the tag file's column)"
        )
        return "tags not judged"
    say(tags_text(table, before))
    weak = table.unlearnt()
    mean, guess = mean_known(table.after), mean_known(table.guess[~np.isnan(table.after)])
    if table.hopeless:
        what = f"the classifier tells the tags no better than guessing (mean AP {mean:.2f}, guessing {guess:.2f})"
        fix = (
            "see with `wsss check` whether tags belong to their photos; read the photos larger (dataset.long_side); "
            f"take other weights (pretrain.backbone). To go on all the same: {stage}.verdict: warn"
        )
        if verdict == "stop":
            raise UserError(f"{stage}.verdict", what, fix)
        warn(stage, what, fix)
    elif weak:
        names = [f"{table.classes[k]} ({table.after[k]:.2f}, guessing {table.guess[k]:.2f})" for k in weak]
        names[NAMED:] = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
        what = f"hardly better than guessing: {', '.join(names)}; their masks will be worth little"
        warn(stage, what, "check the tags of these classes, add photos of them, or drop them (dataset.drop)")
    return f"mean AP of {HELD_OUT} tags {mean:.2f} ({before} {mean_known(table.before):.2f}, guessing {guess:.2f})"


def judge_early(stage: str, table: TagTable, verdict: Verdict) -> None:
    """After the first looks at the tags: what came to nothing by now would do so for as long as the training lasts.

    Warns if the classifier that training begins with is no better than guessing; raises `UserError` if it still is at
    the next look and `verdict` is stop.
    """
    if not table.hopeless:
        return
    if table.kept == 0:
        what = f"a linear probe tells the tags no better than guessing (mean AP {mean_known(table.after):.2f})"
        fix = "none yet: training goes on to its next look at the tags; if that fails too, tags and photos do not match"
        warn(stage, what, fix)
    elif verdict == "stop" and set(table.looks) == {0, table.kept}:
        judge_tags(stage, table, "before", verdict)


def judge_signal(stage: str, table: TagTable, signal: np.ndarray) -> None:
    """Warn of classes whose photos often have no map: a matter of the tags where the classifier is good, else of it."""
    for number in np.flatnonzero(signal < SIGNAL):
        name, precision = table.classes[number], table.after[number]
        what = f"{name}: {1 - signal[number]:.0%} of its training photos have no map with a positive score"
        if precision >= GOOD:
            warn(stage, what, f"check the tags of these photos: elsewhere {name} is told well (AP {precision:.2f})")
        else:
            known = "" if math.isnan(precision) else f" (AP {precision:.2f})"
            warn(stage, what, f"add photos of it, or drop the class (dataset.drop): it is not learnt well{known}")
