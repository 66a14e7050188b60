"""Plots: what is drawn is what the tables say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from wsss.core.errors import IntegrityError, UserError
from wsss.report.plots import TABLES, draw_plots, read_table

CSV = {
    "pretrain.csv": "epoch,lr,loss,cls,grad_norm\n1,0.01,0.5,0.5,1\n2,0.005,0.25,0.25,1\n",
    "train.csv": "epoch,lr,loss,cls,mae,labelled,unlabelled_crops,grad_norm\n1,0.01,0.9,0.5,0.4,0.1,0.7,1\n",
    "mixture_histograms.csv": "class,score,share,background,uncertain,foreground,below,above\n"
    "cow,0.2500,0.7,0.6,0,0.1,0.2,0.5\ncow,0.7500,0.3,0.1,0,0.3,0.2,0.5\n"
    "sheep,0.2500,0.5,0,0,0,,\nsheep,0.7500,0.5,0,0,0,,\n",
    "distill.csv": "epoch,lr,loss,seg_background,seg_foreground,grad_norm\n1,0.01,2,1,1,1\n",
    "per_class.csv": "class,cam,pseudo-label,student\nbackground,0.5,0.6,0.7\ncow,0.1,0.2,\n",
    "thresholds.csv": "threshold,miou,raw_miou,chosen\n0.00,0.1,0.1,\n0.27,0.4,0.5,fixed\n0.50,0.6,0.3,oracle\n",
    "confusion.csv": "actual,predicted,pixels,share\na,a,9,0.9\na,b,1,0.1\nb,a,0,0.0\nb,b,5,1.0\n",
}


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    for name, text in CSV.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Filled by `draw_plots` in the place of files."""
    seen: dict[str, Figure] = {}
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: seen.update({Path(path).name: figure}))
    return seen


def test_every_table_becomes_a_picture(reports: Path) -> None:
    out = reports / "out"
    out.mkdir()
    plots = draw_plots(reports, out)
    assert [plot.file for plot in plots] == [
        f"plot_{name}.png"
        for name in ("pretrain", "train", "distill", "thresholds", "per_class", "confusion", "mixture_histograms")
    ]
    for plot in plots:
        pixels = np.asarray(Image.open(out / plot.file).convert("RGB"))
        assert pixels.min() < 100 < 250 < pixels.max()  # ink on white


def test_curves_are_the_loss_terms_and_not_what_has_another_scale(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, dict[str, list[float]]] = {}

    def look(figure: Figure, path: Path, **_: object) -> None:
        drawn[Path(path).name] = {str(line.get_label()): list(line.get_ydata()) for line in figure.axes[0].lines}

    monkeypatch.setattr(Figure, "savefig", look)
    draw_plots(reports, reports)
    assert drawn["plot_pretrain.png"] == {"cls": [0.5, 0.25]}
    assert drawn["plot_train.png"] == {"cls": [0.5], "mae": [0.4]}
    assert drawn["plot_distill.png"] == {"seg_background": [1], "seg_foreground": [1]}


def test_confusion_cells_are_as_dark_as_their_share(reports: Path) -> None:
    out = reports / "out"
    out.mkdir()
    draw_plots(reports, out)
    pixels = np.asarray(Image.open(out / "plot_confusion.png").convert("RGB")).astype(int)
    full = (pixels == np.array([8, 48, 107])).all(-1).sum()  # the last colour of "Blues"
    assert full > 1000


def test_mixtures_have_a_panel_for_each_class(reports: Path, figures: dict[str, Figure]) -> None:
    draw_plots(reports, reports)
    cow, sheep = (axes for axes in figures["plot_mixture_histograms.png"].axes if axes.axison)
    assert (cow.get_title(), sheep.get_title()) == ("cow", "sheep")
    assert [bar.get_height() for bar in cow.patches] == [0.7, 0.3]
    curves = {str(line.get_label()): list(line.get_ydata()) for line in cow.lines[:2]}
    assert curves == {"background": [0.6, 0.1], "foreground": [0.1, 0.3]}
    assert [list(line.get_xdata()) for line in cow.lines[2:]] == [[0.2, 0.2], [0.5, 0.5]]  # the labels' thresholds
    assert not sheep.lines  # every map of the class was guarded


def test_sweep_has_lines_at_the_threshold_that_was_set_and_at_the_oracles(
    reports: Path, figures: dict[str, Figure]
) -> None:
    draw_plots(reports, reports)
    (axes,) = figures["plot_thresholds.png"].axes
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines["CAM"].get_ydata()) == pytest.approx([10, 40, 60])
    assert list(lines["raw CAM"].get_ydata()) == pytest.approx([10, 50, 30])
    assert list(lines["fixed: 40.0 at 0.27"].get_xdata()) == [0.27, 0.27]
    assert list(lines["oracle: 60.0 at 0.50"].get_xdata()) == [0.5, 0.5]


def test_sweep_where_the_set_threshold_is_the_best_and_there_is_no_raw_cam(
    reports: Path, figures: dict[str, Figure]
) -> None:
    (reports / "thresholds.csv").write_text("threshold,miou,raw_miou,chosen\n0.00,0.1,,\n0.50,0.6,,fixed oracle\n")
    draw_plots(reports, reports)
    labels = [str(line.get_label()) for line in figures["plot_thresholds.png"].axes[0].lines]
    assert "raw CAM" not in labels
    assert {"fixed: 60.0 at 0.50", "oracle: 60.0 at 0.50"} <= set(labels)


def test_few_classes_have_numbers_in_their_cells(reports: Path, figures: dict[str, Figure]) -> None:
    draw_plots(reports, reports)
    axes = figures["plot_confusion.png"].axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "90", (1, 0): "10", (1, 1): "100"}


def test_bars_are_of_the_labels_that_the_student_learned_from(reports: Path, figures: dict[str, Figure]) -> None:
    text = "class,cam,pseudo-label,imported labels,student\nbackground,0.5,0.6,0.7,0.8\n"
    (reports / "per_class.csv").write_text(text)
    draw_plots(reports, reports)
    assert figures["plot_per_class.png"].axes[-1].get_legend_handles_labels()[1] == [
        "cam",
        "imported labels",
        "student",
    ]


@pytest.mark.parametrize("classes", [21, 81])
def test_many_classes_stay_readable(reports: Path, figures: dict[str, Figure], classes: int) -> None:
    """Names of a confusion matrix do not overlap; bars go on in further columns, the best class first."""
    names = [f"class {number}" for number in range(classes)]
    cells = [f"{actual},{predicted},1,{actual == predicted:d}" for actual in names for predicted in names]
    (reports / "confusion.csv").write_text("\n".join(["actual,predicted,pixels,share", *cells, ""]))
    bars = [f"{name},0.5,0.5,{number / 100}" for number, name in enumerate(names)]
    (reports / "per_class.csv").write_text("\n".join(["class,cam,pseudo-label,student", *bars, ""]))
    draw_plots(reports, reports)
    figure = figures["plot_confusion.png"]
    figure.canvas.draw()
    for labels, place in ((figure.axes[0].get_yticklabels(), "y"), (figure.axes[0].get_xticklabels(), "x")):
        spans = sorted(tuple(getattr(label.get_window_extent(), f"interval{place}")) for label in labels)
        assert len(spans) == classes
        assert all(one[1] <= other[0] for one, other in pairwise(spans))
    figure = figures["plot_per_class.png"]
    assert [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()] == names[::-1]
    assert len(figure.axes) == -(-classes // 30)
    width, height = figure.get_size_inches()
    assert max(width, height) < 15


def test_same_tables_give_the_same_bytes(reports: Path) -> None:
    folders = [reports / "one", reports / "two"]
    for folder in folders:
        folder.mkdir()
        draw_plots(reports, folder)
    one, two = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert one == two


def test_names_of_classes_are_no_mathematics(reports: Path) -> None:
    for name in ("per_class.csv", "confusion.csv"):
        text = (reports / name).read_text(encoding="utf-8")
        (reports / name).write_text(text.replace("cow", r"$\foo$ 100 %"), encoding="utf-8")
    assert r"$\foo$" in (reports / "per_class.csv").read_text(encoding="utf-8")
    draw_plots(reports, reports)


def test_tables_without_numbers_are_left_out(reports: Path) -> None:
    (reports / "thresholds.csv").write_text("threshold,miou,raw_miou,chosen\n")
    (reports / "per_class.csv").write_text("class\nbackground\ncow\n")
    (reports / "mixture_histograms.csv").write_text("class,score,share\n")
    (reports / "out").mkdir()
    files = {plot.file for plot in draw_plots(reports, reports / "out")}
    assert files == {"plot_pretrain.png", "plot_train.png", "plot_distill.png", "plot_confusion.png"}


def test_missing_and_empty_tables_are_named(reports: Path) -> None:
    (reports / TABLES[0]).unlink()
    with pytest.raises(UserError, match=r"pretrain\.csv: no such file"):
        read_table(reports / TABLES[0])
    (reports / TABLES[0]).write_text("")
    with pytest.raises(IntegrityError, match="an empty file"):
        read_table(reports / TABLES[0])
