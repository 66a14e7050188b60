"""The interval of the headline score: of the predictions that were scored, and of no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.report.test_gallery import CLASSES, SETTINGS, SHAPE, Run
from tests.unit.report.test_verdict import INDEX, write_tables
from wsss.evaluation import counting
from wsss.evaluation.confusion import Confusion
from wsss.report.bootstrap import mean_interval, overlap
from wsss.report.cards import Results
from wsss.report.gallery import build_gallery
from wsss.report.interval import FIELDS, FILE, Interval, read_interval, score_interval
from wsss.report.scores import Source
from wsss.report.verdict import final_verdict

PHOTOS = 6
FOUND = Interval("student ms+flip+crf", "val", "6", 0.5, 0.4, 0.61)


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Results, Source, tuple[float, float]]:
    """Predictions of six photos, two sizes of masks, some of 255; their score, and the interval from whole matrices."""
    run, rng = Run(tmp_path / "run"), np.random.default_rng(0)
    total, overlaps = Confusion(len(CLASSES)), []
    for number in range(PHOTOS):
        mask = rng.choice([0, 1, 2, 255], SHAPE).astype(np.uint8)
        label = np.where(rng.random(SHAPE) < 0.2 * number, mask % 255, 1).astype(np.uint8)
        times = 1 + number % 2
        run.add(f"p{number}", mask=mask, prediction=label, times=times)
        one = Confusion(len(CLASSES))
        one.update(*(each.repeat(times, 0).repeat(times, 1) for each in (mask, label)))
        total.counts += one.counts
        overlaps.append(overlap(one.counts))
    run.add("without a mask", prediction=np.zeros(SHAPE, np.uint8))
    run.add("of another split", "train", mask=np.zeros(SHAPE, np.uint8))
    source = Source(
        FOUND.source, "val", str(PHOTOS), "no", "", "no", "yes", "no", round(total.scores().miou, 4), 0, 0, 1
    )
    expected = mean_interval(np.stack(overlaps))
    assert expected is not None
    return run.write(), source, expected


def test_it_is_of_the_photos_that_were_scored(scored: tuple[Results, Source, tuple[float, float]]) -> None:
    results, source, expected = scored
    found = score_interval(results, source)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-4)
    assert found.low < found.miou < found.high
    assert score_interval(results, None) is None
    others = {"images": "7"}, {"miou": 0.99}, {"miou": None}, {"source": "student ms+flip"}, {"source": "oste"}
    for other in others:  # a table of another run, or a step that was not kept
        assert score_interval(results, replace(source, **other)) is None  # type: ignore[arg-type]


def test_the_arrays_are_those_that_evaluate_scores(scored: tuple[Results, Source, tuple[float, float]]) -> None:
    predictions = scored[0].predictions
    predictions.attributes["crf"] = True
    named = counting.predicted_sources(predictions).items()
    assert {name: field for name, field in named if name.startswith("student")} == FIELDS


def test_page_and_note_and_verdict_have_it(scored: tuple[Results, Source, tuple[float, float]], tmp_path: Path) -> None:
    results, source, _ = scored
    found = score_interval(results, source)
    assert found is not None
    build_gallery(results, (source,), SETTINGS, tmp_path / "out", interval=found)
    assert found.text in (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert read_interval(tmp_path / "out", source) == found
    assert read_interval(tmp_path / "out", replace(source, images="7")) is None
    assert read_interval(tmp_path / "out", None) is None
    for broken in ("", "x\n1\n", f"source,split,images,miou,low,high\n{found.source},val\n"):
        (tmp_path / "out" / FILE).write_text(broken)
        assert read_interval(tmp_path / "out", source) is None
    assert read_interval(tmp_path, source) is None
    build_gallery(results, (source,), SETTINGS, tmp_path / "plain")
    assert not (tmp_path / "plain" / FILE).exists()
    assert "95 % interval" not in (tmp_path / "plain/index.html").read_text(encoding="utf-8")


def test_the_verdict_says_what_it_is(tmp_path: Path) -> None:
    write_tables(tmp_path)
    (tmp_path / "per_class.csv").write_text(f"class,{FOUND.source},cam\nbackground,0.9,0.9\ncow,0.5,0.1\nhat,,0.1\n")
    source = Source(FOUND.source, "val", "6", "no", "", "no", "yes", "no", FOUND.miou, 0.5, 0.1, 1.0)
    told = (
        "the student has mIoU 50.00 % (student ms+flip+crf), 95 % interval 40.0 to 61.0 %, one seed (the interval is "
        "from drawing these 6 photos again and again; how another training would do is not in it)."
    )
    assert told in final_verdict(tmp_path, (source,), INDEX, "val", interval=FOUND).text
    assert "interval" not in final_verdict(tmp_path, (source,), INDEX, "val").text
