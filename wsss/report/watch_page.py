"""What stages tell while they run, as a page that reloads itself: losses, tags, and photos with the answers so far."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from wsss.core.live import folder
from wsss.data.answers import HEAT
from wsss.data.index import IGNORE
from wsss.data.palette import display_palette
from wsss.data.render import css_colour, heat_overlay, label_overlay
from wsss.report.plots import STYLE, Table, curves
from wsss.report.templates import render
from wsss.report.watch import Run

RELOAD = 5
"""Seconds."""


@dataclass(frozen=True)
class Answer:
    """A photo and what the network says of it, as addresses of pictures; `size`: (width, height) in pixels."""

    name: str
    photo: str
    answer: str
    size: tuple[int, int]
    says: str
    epoch: str


def page(run: Run, waiting: bool = False) -> str:
    """The page of `run`. While it is alive, or one is waited for, a browser loads the page anew every few seconds."""
    plots = [plot for each in reversed(list(run.stages.values())) for plot in _plots(each)]
    last = run.latest("photos")
    answers, swatches = ([], []) if last is None else _answers(last)
    works = run.now["works"] if run.alive else []
    return render(
        "watch.html",
        ("watch.js",),
        run=run,
        waiting=waiting,
        reload=RELOAD if run.alive or waiting else None,
        works=works,
        plots=plots,
        answers=answers,
        swatches=swatches,
        stage=last["stage"] if last else "",
    )


def _plots(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Title and address of each picture of one stage's curves."""
    found = []
    for phase, part in told["phases"].items():
        if rows := part["rows"]:
            names = tuple(name for name in rows[-1] if any(row[name] for row in rows))
            cells = tuple(tuple(str(row[name]) for name in names) for row in rows)
            title = f"{told['stage']}{f', {phase}' if phase else ''}: losses, {len(rows)} of {part['epochs']} epochs"
            with mpl.rc_context(STYLE):
                figure = curves(title, Table(names, cells))
                figure.axes[0].set_ylabel("lower is better")
                found.append((title, _svg(figure)))
    if len(told["tags"]) > 1:
        title = f"{told['stage']}: mean AP of the held-out tags"
        with mpl.rc_context(STYLE):
            figure = Figure(figsize=(5.4, 3.0), layout="constrained")
            axes = figure.add_subplot()
            axes.plot([int(epoch) for epoch in told["tags"]], list(told["tags"].values()), marker="o")
            axes.set(title=title, xlabel="epoch", ylabel="higher is better", ylim=(0, 1.02))
            axes.locator_params(axis="x", integer=True)
            found.append((title, _svg(figure)))
    return found


def _answers(told: Mapping[str, Any]) -> tuple[list[Answer], list[tuple[str, str]]]:
    """The photos of one stage, and name and colour of each class that is seen in them."""
    found, present = [], set()
    for name, each in told["photos"].items():
        files = [folder() / told["stage"] / f"{each['number']}.{ending}" for ending in ("jpg", "png")]
        try:
            photo, values = _pixels(files[0], "RGB"), _pixels(files[1], "L")
        except OSError:
            continue  # it is being replaced
        if each["kind"] == HEAT:
            over = heat_overlay(photo, values / np.float32(255))
        else:
            over = label_overlay(photo, values, display_palette())
            present |= set(np.unique(values).tolist()) - {0, IGNORE}
        when = f"epoch {each['epoch']}{' of ' + each['phase'] if each['phase'] else ''}"
        size = photo.shape[1], photo.shape[0]
        found.append(Answer(name, _png(photo), _png(over), size, each["says"], when))
    colours = display_palette()
    return found, [(told["classes"][number], css_colour(colours[number])) for number in sorted(present)]


def _pixels(path: Path, mode: str) -> np.ndarray:
    with Image.open(path, formats=("JPEG", "PNG")) as image:
        return np.asarray(image.convert(mode))


def _png(pixels: np.ndarray) -> str:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return _address("image/png", made.getvalue())


def _svg(figure: Figure) -> str:
    made = io.BytesIO()
    figure.savefig(made, format="svg")
    return _address("image/svg+xml", made.getvalue())


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
