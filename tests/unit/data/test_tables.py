"""CSV bytes that depend on values alone."""

from __future__ import annotations

import csv
import io

from wsss.data.tables import csv_text, history_csv, plain_rows


def test_awkward_cells_survive() -> None:
    rows = [["a,b", 'say "x"', "two\nlines", "ü", ""]]
    text = csv_text(["p", "q", "r", "s", "t"], rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["p", "q", "r", "s", "t"], *rows]
    assert "\r" not in text


def test_history_has_six_digits_and_whole_epochs() -> None:
    history = [{"epoch": 1, "lr": 1e-2, "loss": 0.123456789}, {"epoch": 2.0, "lr": 1e-7, "loss": 0.0}]
    assert history_csv(history) == "epoch,lr,loss\n1,0.01,0.123457\n2,1e-07,0\n"


def test_history_may_hold_an_infinite_gradient() -> None:
    """With fp16 the first gradients overflow; that must not lose a finished training."""
    history = [{"epoch": 1, "grad_norm": float("inf")}, {"epoch": 2, "grad_norm": float("nan")}]
    assert history_csv(history) == "epoch,grad_norm\n1,inf\n2,nan\n"


def test_empty_history_is_an_empty_table() -> None:
    assert history_csv([]) == "\n"


def test_no_cell_opens_as_a_formula() -> None:
    """A spreadsheet would run it; our own readers get the name back."""
    names = ["=cmd()", "+1", "@x", "-a", "\tb", "'=1", "'", "'a'", "-5", "cow", "a=b", ""]
    text = csv_text(names, [names, [-1.5, -2, "-0.25", "-1e-05", "-inf", *names[5:]]])
    header, row, numbers = csv.reader(io.StringIO(text, newline=""))
    assert header == row
    assert [cell for cell in row if cell.startswith(("=", "+", "@", "-", "\t"))] == ["-5"]
    assert numbers[:5] == ["-1.5", "-2", "-0.25", "-1e-05", "-inf"]
    assert list(plain_rows([row])) == [names]
