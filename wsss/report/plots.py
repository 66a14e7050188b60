"""Plots as PNG files: `dvc plots` loads its renderer from the network, and a page of results should not have to."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsss.core.errors import IntegrityError, UserError

TABLES = (
    *("pretrain.csv", "train.csv", "mixture_histograms.csv", "distill.csv"),
    *("per_class.csv", "thresholds.csv", "confusion.csv"),
)
"""What is drawn, from the folder of reports."""
DPI = 110
STYLE: dict[Any, Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10}
PARTS = {"background": "tab:blue", "uncertain": "tab:green", "foreground": "tab:orange"}
NOT_CURVES = (
    "epoch",
    "lr",
    "grad_norm",
    "loss",
    "labelled",
    "unlabelled_crops",
    "to_background",
    "to_class",
    "to_unsure",
)


@dataclass(frozen=True)
class Plot:
    """One PNG file and what it shows."""

    title: str
    file: str


@dataclass(frozen=True)
class Table:
    """A CSV: column names and rows of text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def numbers(self, column: str) -> np.ndarray:
        """(rows,) float64; empty cells are NaN."""
        place = self.header.index(column)
        return np.array([float(row[place]) if row[place] else np.nan for row in self.rows])

    def texts(self, column: str) -> list[str]:
        """One column as text."""
        place = self.header.index(column)
        return [row[place] for row in self.rows]


def draw_plots(reports: Path, out: Path) -> tuple[Plot, ...]:
    """Draw all tables of `reports` that have rows into PNG files in `out`. Same tables, same bytes."""
    tables = {name: read_table(reports / name) for name in TABLES}
    drawings: list[tuple[str, str, tuple[float, float], Callable[[Axes, Table], None]]] = [
        ("Classifier: loss", "pretrain.csv", (4.2, 3.0), _curves),
        ("OSTE: weighted losses", "train.csv", (4.2, 3.0), _curves),
        ("Student: losses", "distill.csv", (4.2, 3.0), _curves),
        ("CAM mIoU by threshold (oracle: reads masks)", "thresholds.csv", (4.2, 3.0), _sweep),
        ("IoU per class", "per_class.csv", (4.2, 1.2 + 0.32 * len(tables["per_class.csv"].rows)), _bars),
        ("Where each class's pixels went", "confusion.csv", (5.2, 4.6), _confusion),
    ]
    plots = []
    with mpl.rc_context(STYLE):
        for title, name, size, draw in drawings:
            if tables[name].rows:
                figure = Figure(figsize=size, layout="constrained")
                axes = figure.add_subplot()
                axes.set_title(title)
                draw(axes, tables[name])
                file = f"plot_{Path(name).stem}.png"
                figure.savefig(out / file, dpi=DPI, metadata={"Software": ""})
                plots.append(Plot(title, file))
        scores = tables["mixture_histograms.csv"]
        if scores.rows:
            figure = _mixtures(scores)
            figure.savefig(out / "plot_mixtures.png", dpi=DPI, metadata={"Software": ""})
            plots.append(Plot("CAM scores and fitted mixtures", "plot_mixtures.png"))
    return tuple(plots)


def read_table(path: Path) -> Table:
    """Read a CSV that an earlier stage wrote."""
    try:
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError as error:
        raise UserError(path, "no such file", "run the stage that writes it: dvc repro") from error
    except ValueError as error:
        raise IntegrityError(path, "an empty file", "run the stage that writes it again: dvc repro -f") from error
    return Table(tuple(header), tuple(tuple(row) for row in rows))


def _curves(axes: Axes, table: Table) -> None:
    epochs = table.numbers("epoch")
    for name in table.header:
        if name not in NOT_CURVES:
            axes.plot(epochs, table.numbers(name), marker=".", label=name)
    axes.set(xlabel="epoch")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))  # one of the losses can be negative
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False)


def _mixtures(table: Table) -> Figure:
    """A panel for each class: its scores, the components, and where the last component takes over from the first."""
    of_class = np.array(table.texts("class"))
    names = list(dict.fromkeys(of_class.tolist()))
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2.6 * columns, 0.4 + 1.7 * rows), layout="constrained")
    figure.suptitle("CAM scores and fitted mixtures", fontsize=10)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    values = {name: table.numbers(name) for name in ("score", "share", "background", "uncertain", "foreground")}
    for panel, name in zip(panels, names, strict=False):
        here = {column: value[of_class == name] for column, value in values.items()}
        panel.bar(here["score"], here["share"], width=here["score"][1] - here["score"][0], color="#cfcfcf")
        parts = [part for part in ("background", "uncertain", "foreground") if here[part].any()]
        for part in parts:
            panel.plot(here["score"], here[part], color=PARTS[part], label=part)
        takes_over = here["foreground"] > here["background"]
        if takes_over.any():
            panel.axvline(here["score"][np.argmax(takes_over)], color="black", linewidth=0.8, linestyle=":")
        panel.set(title=name, yticks=[], xlim=(0, 1), ylim=(0, 1.1 * float(here["share"].max())))
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    if panels[0].lines:
        panels[0].legend(frameon=False, fontsize=7)
    return figure


def _sweep(axes: Axes, table: Table) -> None:
    thresholds, miou = table.numbers("threshold"), table.numbers("miou")
    best = int(np.nanargmax(miou))
    axes.plot(thresholds, 100 * miou)
    axes.annotate(
        f"{100 * miou[best]:.1f} at {thresholds[best]:.2f}",
        (thresholds[best], 100 * miou[best]),
        textcoords="offset points",
        xytext=(0, 5),
        ha="center",
    )
    axes.set(xlabel="threshold on CAM scores", ylabel="mIoU %", ylim=(0, 110 * float(np.nanmax(miou)) + 1))


def _bars(axes: Axes, table: Table) -> None:
    """CAM, pseudo-label and the last source, the best class on top."""
    wanted = [name for name in ("cam", "pseudo-label") if name in table.header]
    sources = [*wanted, table.header[-1]]
    order = np.argsort(np.nan_to_num(table.numbers(sources[-1]), nan=-1.0), kind="stable")
    places = np.arange(len(order))
    height = 0.8 / len(sources)
    for number, source in enumerate(sources):
        values = 100 * table.numbers(source)[order]
        axes.barh(places + (len(sources) / 2 - number - 0.5) * height, values, height, label=source)
    axes.set(xlabel="IoU %", xlim=(0, 100), yticks=places, yticklabels=_at(table.texts("class"), order))
    axes.legend(frameon=False, loc="lower right")


def _confusion(axes: Axes, table: Table) -> None:
    actual = list(dict.fromkeys(table.texts("actual")))
    predicted = list(dict.fromkeys(table.texts("predicted")))
    shares = np.zeros((len(actual), len(predicted)))
    rows = zip(table.texts("actual"), table.texts("predicted"), table.numbers("share"), strict=True)
    for row, column, share in rows:
        shares[actual.index(row), predicted.index(column)] = share
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    axes.figure.colorbar(image, ax=axes, label="% of the class", shrink=0.8)
    axes.set_xticks(range(len(predicted)), predicted, rotation=90)
    axes.set_yticks(range(len(actual)), actual)
    axes.set(xlabel="predicted", ylabel="actual")


def _at(names: Sequence[str], order: np.ndarray) -> list[str]:
    return [names[number] for number in order]
