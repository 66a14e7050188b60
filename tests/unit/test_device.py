"""The benchmarks of a GPU, on a CPU: do they run, keep their rows, and say what they have measured?"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import device, smoke
from benchmarks.device import Day, OutOfTime, ending
from tests.helpers import names

HISTORY, TAGS = "epoch,loss\n1,{}\n2,1.0\n", "class,kept\na,{}\nb,\n"


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "device.jsonl").read_text(encoding="utf-8").splitlines()]


def test_rows_are_written_as_they_come_and_an_error_is_one_of_them(tmp_path: Path) -> None:
    day = Day(tmp_path, 60)

    def work() -> Iterator[dict[str, Any]]:
        yield {"value": 1}
        assert [row["value"] for row in rows(tmp_path)] == [1]  # a run that is cut off here has kept it
        raise ValueError("no such card")

    assert [row["value"] for row in day.rows("first", 1, work)] == [1]
    day.rows("second", 61, work)
    day.rows("third", 1, lambda: iter([{"value": 3}]))
    found = rows(tmp_path)
    assert [row["row"] for row in found] == ["first", "first", "second", "third"]
    assert found[1]["error"] == "ValueError: no such card"
    assert found[1]["where"].startswith("test_device.py:")
    assert found[2]["skipped"] in ("60 s left, needs 61", "59 s left, needs 61")
    assert found[3]["value"] == 3


def test_a_row_ends_with_the_minutes_and_all_others_are_skipped(tmp_path: Path) -> None:
    day = Day(tmp_path, 0.3)

    def work() -> Iterator[dict[str, Any]]:
        yield {"value": 1}
        try:
            time.sleep(30)
        except Exception:  # what a stage does with errors
            yield {"value": 2}

    begin = time.monotonic()
    with ending(0.3):
        day.rows("long", 0, work)
        day.rows("next", 1, work)
    assert time.monotonic() - begin < 20
    found = rows(tmp_path)
    assert [row.get("error") or row.get("skipped") or row["value"] for row in found] == [
        1,
        "out of time",
        "0 s left, needs 1",
    ]
    assert not issubclass(OutOfTime, Exception)


@pytest.mark.parametrize(("loss", "precision", "passed"), [(2.0, 0.5, True), (2.1, 0.5, False), (2.0, 0.6, False)])
def test_a_training_that_differs_too_much_is_seen(tmp_path: Path, loss: float, precision: float, passed: bool) -> None:
    for name, first, kept in (("cpu", 2.0, 0.5), ("device", loss, precision)):
        (tmp_path / name / "reports").mkdir(parents=True)
        (tmp_path / name / "reports/pretrain.csv").write_text(HISTORY.format(first))
        (tmp_path / name / "reports/pretrain_tags.csv").write_text(TAGS.format(kept))
    found = smoke.DIFFERENCES["pretrain"](tmp_path / "cpu", tmp_path / "device")
    assert found["relative difference of the loss"] == pytest.approx(loss / 2 - 1)
    assert found["difference of the tags' AP"] == pytest.approx(precision - 0.5)
    assert smoke.passes(found) is passed


def test_a_number_that_is_none_does_not_pass() -> None:
    assert not smoke.passes({"largest difference of a CAM": float("nan")})


def test_a_second_run_adds_the_rows_that_are_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that lacks a package, too: that is an error of the rows which need it, and the next ones come."""
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    for only, lacking in ((["step"], ()), (["rates", "step"], ("benchmarks.chain",))):
        with monkeypatch.context() as without:
            for module in lacking:
                without.setitem(sys.modules, module, None)
            chosen = [word for name in only for word in ("--only", name)]
            said = CliRunner().invoke(device.main, ["--out", str(tmp_path), "--toy", *chosen])
        assert said.exit_code == 0, said.output
    found = rows(tmp_path)
    assert [row["row"] for row in found] == ["facts", "step", "step", "end", "facts", "step", "step", "rates", "end"]
    assert [row["row"] for row in found if "error" in row] == ["rates"]
    assert "benchmarks.chain" in found[-2]["error"]
    assert all(row["of_peak"] is not None for row in found if row["row"] == "step")


@pytest.mark.slow
def test_toy_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    run = CliRunner().invoke(device.main, ["--out", str(tmp_path), "--toy"])
    assert run.exit_code == 0, run.output
    found = rows(tmp_path)
    assert [json.loads(line) for line in run.stdout.splitlines()] == found
    assert names(tmp_path) == ["device.jsonl", "stages.log"]  # a machine that is lent gives few files back
    said = (tmp_path / "stages.log").read_text(encoding="utf-8")
    assert all(f"--- {folder} index on cpu" in said for folder in ("device", "rates", "chain0"))
    assert not [row for row in found if "error" in row or "skipped" in row]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        by_name.setdefault(row["row"], []).append(row)
    assert list(by_name) == ["facts", "smoke", "step", "rates", "chain", "end"]
    (facts,) = by_name["facts"]
    assert facts["device"] == "cpu"
    assert facts["bf16_matmul_tflops"] > 0
    assert facts["fp32_matmul_tflops"] > 0
    assert [row["stage"] for row in by_name["smoke"]] == list(smoke.STAGES)
    for row in by_name["smoke"]:
        assert row["passed"]
        assert row["differences"]
        assert all(value == 0 for value, _ in row["differences"].values())  # the same device, so the same bits
    assert [row["layout"] for row in by_name["step"]] == ["contiguous", "channels_last"]
    for row in by_name["step"]:
        rate = row["step_tflop"] / (row["step_ms"] / 1000)
        assert row["of_peak"] == pytest.approx(rate / facts["bf16_matmul_tflops"], rel=0.05, abs=1e-4)
        assert row["met"] == (row["of_peak"] >= 0.4)
    assert [(row["stage"], row["photos"]) for row in by_name["rates"]] == [("cams", 4), ("correct", 4)]
    assert by_name["rates"][1]["same_pixels_as_cpu"] == 1
    *stages, whole = by_name["chain"]
    assert [row["stage"] for row in stages] == list(smoke.STAGES) == list(whole["stages_s"])
    assert whole["all_s"] == pytest.approx(sum(row["stage_s"] for row in stages), abs=0.1)
    assert {"student", "pseudo-label", "cam"} <= set(whole["miou"])
    assert all(0 <= value <= 1 for value in whole["miou"].values())
