"""Plots as PNG files: `dvc plots` loads its renderer from the network, and a page of results should not have to."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsss.core.errors import IntegrityError, UserError
from wsss.data.tables import plain_rows
from wsss.stores.imported import ImportedStore
from wsss.stores.labels import PseudoStore

TABLES = (
    *("pretrain.csv", "train.csv", "mixture_histograms.csv", "distill.csv"),
    *("per_class.csv", "thresholds.csv", "confusion.csv"),
)
"""What is drawn, from the folder of reports."""
DPI = 110
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "text.parse_math": False,  # names of classes may hold dollar signs
}
BARS = 30
"""Most classes in one column of bars."""
NUMBERED, CELL_NUMBERED, CELL = 24, 0.24, 0.15
"""A confusion matrix of so many classes has numbers in its cells, of so many inches; more classes make them smaller."""
PARTS = {"background": "tab:blue", "uncertain": "tab:green", "foreground": "tab:orange"}
SHARES = ("labelled", "unlabelled_crops", "to_background", "to_class", "to_unsure", "filled")
"""Columns of a history that are shares of pixels or crops: what happened to the labels."""
NOT_LOSSES = ("epoch", "lr", "grad_norm", "loss", *SHARES)


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
    """Draw all tables of `reports` that hold numbers into PNG files in `out`. Same tables, same bytes."""
    tables = {name: read_table(reports / name) for name in TABLES}
    drawings: list[tuple[str, str, Callable[[str, Table], Figure]]] = [
        ("Classifier: loss", "pretrain.csv", curves),
        ("OSTE: weighted losses", "train.csv", curves),
        ("Student: losses", "distill.csv", curves),
        ("CAM mIoU by threshold (oracle: reads masks)", "thresholds.csv", _sweep),
        ("IoU per class", "per_class.csv", _bars),
        ("Where each class's pixels went", "confusion.csv", _confusion),
        ("CAM scores and fitted mixtures", "mixture_histograms.csv", _mixtures),
    ]
    plots = []
    with mpl.rc_context(STYLE):
        for title, name, draw in drawings:
            if tables[name].rows and len(tables[name].header) > 1:  # without masks, classes stand alone
                file = f"plot_{Path(name).stem}.png"
                draw(title, tables[name]).savefig(out / file, dpi=DPI, metadata={"Software": ""})
                plots.append(Plot(title, file))
    return tuple(plots)


def read_table(path: Path) -> Table:
    """Read a CSV that an earlier stage wrote."""
    try:
        header, *rows = plain_rows(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError as error:
        raise UserError(path, "no such file", "run the stage that writes it: dvc repro") from error
    except ValueError as error:
        raise IntegrityError(path, "an empty file", "run the stage that writes it again: dvc repro -f") from error
    return Table(tuple(header), tuple(tuple(row) for row in rows))


def _single(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.2, 3.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    return figure, axes


def curves(title: str, table: Table) -> Figure:
    """Losses by epoch; below them, where there are any, the shares of labels that changed or are missing."""
    losses = [name for name in table.header if name not in NOT_LOSSES]
    shares = [name for name in table.header if name in SHARES]
    panels = [losses, shares] if shares else [losses]
    figure = Figure(figsize=(5.4, 3.0 if len(panels) == 1 else 4.6), layout="constrained")
    epochs = table.numbers("epoch")
    rows = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axes, names in zip(rows, panels, strict=True):
        for name in names:
            axes.plot(epochs, table.numbers(name), marker=".", label=name)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))  # one of the losses can be negative
        axes.locator_params(axis="x", integer=True)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    rows[0].set_title(title)
    rows[-1].set(xlabel="epoch")
    if shares:
        rows[-1].set(ylabel="share of labels")
    return figure


def _mixtures(title: str, table: Table) -> Figure:
    """A panel for each class: its scores, the components, and the thresholds of the labels, means over its maps."""
    of_class = np.array(table.texts("class"))
    names = list(dict.fromkeys(of_class.tolist()))
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(2.6 * columns, 0.4 + 1.7 * rows), layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    values = {name: table.numbers(name) for name in ("score", "share", *PARTS, "below", "above")}
    for panel, name in zip(panels, names, strict=False):
        here = {column: value[of_class == name] for column, value in values.items()}
        panel.bar(here["score"], here["share"], width=here["score"][1] - here["score"][0], color="#cfcfcf")
        parts = [part for part in ("background", "uncertain", "foreground") if here[part].any()]
        for part in parts:
            panel.plot(here["score"], here[part], color=PARTS[part], label=part)
        for cut in (here["below"][0], here["above"][0]):
            if np.isfinite(cut):
                panel.axvline(cut, color="black", linewidth=0.8, linestyle=":")
        panel.set(title=name, yticks=[], xlim=(0, 1), ylim=(0, 1.1 * float(here["share"].max())))
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    if panels[0].lines:
        panels[0].legend(frameon=False, fontsize=7)
    return figure


def _sweep(title: str, table: Table) -> Figure:
    """Both CAMs, the threshold that was set, and the best one, which only an oracle knows."""
    figure, axes = _single(title)
    thresholds, miou = table.numbers("threshold"), 100 * table.numbers("miou")
    raw = 100 * table.numbers("raw_miou")
    if not np.isnan(raw).all():
        axes.plot(thresholds, raw, color="0.65", label="raw CAM")
    axes.plot(thresholds, miou, color="tab:blue", label="CAM")
    for name, line in (("fixed", "--"), ("oracle", ":")):
        number = next(place for place, chosen in enumerate(table.texts("chosen")) if name in chosen.split())
        label = f"{name}: {miou[number]:.1f} at {thresholds[number]:.2f}"
        axes.axvline(thresholds[number], color="black", linewidth=0.9, linestyle=line, label=label)
        axes.plot(thresholds[number], miou[number], marker="o", markersize=4, color="tab:blue")
    axes.set(xlabel="threshold on CAM scores", ylabel="mIoU %", xlim=(0, 1))
    axes.set_ylim(0, 1.1 * float(np.nanmax([miou, raw])) + 1)
    axes.legend(edgecolor="none", fontsize=8)
    return figure


def _bars(title: str, table: Table) -> Figure:
    """CAM, label that was learned from and the last source, the best class on top; many go on in further columns."""
    labels = ImportedStore.source if ImportedStore.source in table.header else PseudoStore.source
    wanted = [name for name in ("cam", labels) if name in table.header]
    sources = [*wanted, table.header[-1]]
    order = np.argsort(np.nan_to_num(table.numbers(sources[-1]), nan=-1.0), kind="stable")[::-1]
    columns = -(-len(order) // BARS)
    parts = np.array_split(order, columns)
    figure = Figure(figsize=(4.2 * columns, 1.2 + 0.32 * len(parts[0])), layout="constrained")
    height = 0.8 / len(sources)
    for axes, part in zip(figure.subplots(1, columns, squeeze=False)[0], parts, strict=True):
        places = np.arange(len(part))
        for number, source in enumerate(sources):
            values = 100 * table.numbers(source)[part]
            axes.barh(places + (number + 0.5 - len(sources) / 2) * height, values, height, label=source)
        names = table.texts("class")
        axes.set(xlabel="IoU %", xlim=(0, 100), yticks=places, yticklabels=[names[number] for number in part])
        axes.set_ylim(len(parts[0]) - 0.5, -0.5)
    known = figure.axes[-1].get_legend_handles_labels()
    figure.legend(*known, frameon=False, fontsize=8, loc="outside lower center", ncols=len(sources))
    figure.suptitle(title, fontsize=10)
    return figure


def _confusion(title: str, table: Table) -> Figure:
    """Cells grow fewer pixels with more classes, down to what can be read; few classes have numbers in their cells."""
    actual = list(dict.fromkeys(table.texts("actual")))
    predicted = list(dict.fromkeys(table.texts("predicted")))
    shares = np.zeros((len(actual), len(predicted)))
    rows = zip(table.texts("actual"), table.texts("predicted"), table.numbers("share"), strict=True)
    for row, column, share in rows:
        shares[actual.index(row), predicted.index(column)] = 100 * share
    numbered = len(actual) <= NUMBERED
    side = 1.5 + max(2.5, (CELL_NUMBERED if numbered else CELL) * len(actual))
    figure = Figure(figsize=(side + 0.7, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="% of the class", shrink=0.8, aspect=30)
    axes.set_xticks(range(len(predicted)), predicted, rotation=90, fontsize=9 if numbered else 7)
    axes.set_yticks(range(len(actual)), actual, fontsize=9 if numbered else 7)
    axes.set(xlabel="predicted", ylabel="actual", title=title)
    if numbered:
        for row, column in np.argwhere(shares >= 0.5):
            value = shares[row, column]
            colour = "white" if value > 55 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=6, color=colour)
    return figure
