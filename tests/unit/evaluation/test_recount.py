"""`wsss verify --recount`: scores counted again from stores and masks, against tables that somebody may have edited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from tests.helpers import record_masks
from tests.toy_evaluation import SETTINGS, Project, run_stage
from wsss.commands import verify
from wsss.core.errors import IntegrityError, UserError
from wsss.data.images import voc_palette
from wsss.data.origins import LABELS_SHA
from wsss.evaluation.recount import AGREES, KEYS, SOURCES, recount
from wsss.evaluation.sources import EvaluateSettings
from wsss.stores.shards import index_digest

FINAL = "student ms+flip+crf, val"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name, value in {"WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu", "WSSS_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def finish(settings: EvaluateSettings = SETTINGS, labels: str = "pseudo") -> Path:
    """Evaluate the run in the working folder, and lay it out as a checkout is; its folder."""
    result = run_stage(settings, labels)
    assert result.exit_code == 0, result.output
    Path("artifacts").mkdir()
    for name in ("dataset", "masks.csv", "cams", "pseudo", "relabelled", "predictions", "student.pt"):
        Path(name).rename(f"artifacts/{name}")
    return Path.cwd()


def edit(path: str, before: str, after: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert before in text
    Path(path).write_text(text.replace(before, after, 1), encoding="utf-8")


def written(row: str, column: str) -> str:
    header, *rows = (line.split(",") for line in Path("reports/sources.csv").read_text(encoding="utf-8").splitlines())
    return next(dict(zip(header, cells, strict=True))[column] for cells in rows if ", ".join(cells[:2]) == row)


@pytest.mark.parametrize("times", [1, 3])
def test_every_row_of_every_table_is_counted_again(times: int) -> None:
    """Also of photos that are read smaller than they are, from elsewhere, and by workers."""
    Project(times=times)
    root = finish()
    found = recount(root)
    assert not found.errors
    assert found.same == tuple(name for name in KEYS if name != SOURCES)
    assert set(found.rows.values()) == {AGREES}
    assert {FINAL, "student, val", "oste ms+flip, val", "cam oracle, val", "pseudo-label, train"} <= set(found.rows)


def test_masks_of_colours() -> None:
    project = Project()
    for record in project.index.records:
        if record.mask is not None:
            path = Path("photos") / record.mask
            Image.fromarray(voc_palette()[np.asarray(Image.open(path))]).save(path)
    record_masks(Path("masks.csv"), Path("photos"), project.index.records)
    assert set(recount(finish()).rows.values()) == {AGREES}


def test_a_number_that_was_written_by_hand_is_found() -> None:
    Project()
    root = finish()
    number = written(FINAL, "miou")
    edit("reports/sources.csv", f",{number},", ",0.9000,")
    edit("reports/metrics.json", f'"student_ms_crf_miou": {float(number)}', '"student_ms_crf_miou": 0.9')
    result = CliRunner().invoke(verify.main, [str(root), "--recount"])
    assert result.exit_code == 4, result.output
    row = f"miou 0.9000 is written, {number} was counted"
    assert f"\n  {FINAL}: {row}\n  " not in result.stdout  # it is the last one
    assert f"\n  {FINAL}: {row}\nagree, counted again: per_class.csv, classes.csv, " in result.stdout
    assert "\n  student, val: agrees\n" in result.stdout
    where = f"error: {root}/reports/"
    assert f"{where}sources.csv: is not what stored arrays and masks give: {FINAL}: {row}\n" in result.stdout
    said = f"student_ms_crf_miou 0.9000 is written, {number} was counted\n"
    assert f"{where}metrics.json: is not what stored arrays and masks give: {said}" in result.stdout
    assert "; 2 errors\n" in result.stdout
    assert "\nnot counted again: whether the networks predict what artifacts/predictions holds" in result.stdout
    report = json.loads(CliRunner().invoke(verify.main, [str(root), "--recount", "--json"]).stdout)
    assert (report["recount"]["rows"][FINAL], len(report["errors"])) == (row, 2)
    assert CliRunner().invoke(verify.main, [str(root)]).exit_code == 0


def test_rows_that_were_added_left_out_or_moved() -> None:
    Project()
    root = finish()
    sources = Path("reports/sources.csv")
    header, *rows = sources.read_text(encoding="utf-8").splitlines(keepends=True)
    sources.write_text("".join([header, *rows[1:], rows[0]]), encoding="utf-8")
    assert "its rows: are in another order" in recount(root).errors[0].what
    sources.write_text("".join([header, *rows[1:], rows[1].replace("cam", "cum", 1)]), encoding="utf-8")
    found = recount(root)
    first = next(iter(found.rows))
    assert found.rows[first].startswith("images nothing is written, 2 was counted; ")
    assert next(text for name, text in found.rows.items() if "cum" in name).startswith("images 2 is written, nothing")
    assert len(found.errors) == 1
    sources.write_text("".join([header, *rows, rows[0]]), encoding="utf-8")
    with pytest.raises(IntegrityError, match="a row or a column is there twice"):
        recount(root)


@pytest.mark.parametrize("bound", [False, True])
def test_imported_labels(bound: bool) -> None:
    """They are counted if they are those that the student learned from; else their row is left, and the others not."""
    project = Project()
    noted = project.write_imported([r.id for r in project.index.records], upper_bound=bound)
    marks = {"upper_bound": True} if bound else {}
    project.write_relabelled((), **marks, **{LABELS_SHA: noted})
    root = finish(labels="mine")
    found = recount(root)
    assert (found.rows["imported labels, val"], found.errors) == (AGREES, ())
    Path("mine").rename("elsewhere")
    found = recount(root)
    lost = f"cannot be counted: {root}/mine is not what the student learned from, or not here"
    assert (found.rows.pop("imported labels, val"), found.errors) == (lost, ())
    assert (found.rows.pop("imported labels, train"), set(found.rows.values())) == (lost, {AGREES})


def test_settings_are_those_that_the_lock_has() -> None:
    """Also the scales that tags have chosen, which only the predictions have."""
    Project()
    root = finish()
    lock = {"params": {"params.yaml": {"evaluate": {"scales": [0.75, 1], "cam_threshold": 0.3}}}}
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"evaluate": {"outs": [], **lock}}}))
    edit("params.yaml", '"cam_threshold": 0.3', '"cam_threshold": 0.5')
    assert not recount(root).errors
    index = json.loads(Path("artifacts/predictions/index.json").read_text(encoding="utf-8"))
    del index["sha256"]
    index["scales"] = "1"
    Path("artifacts/predictions/index.json").unlink()
    Path("artifacts/predictions/index.json").write_text(json.dumps({**index, "sha256": index_digest(index)}))
    assert recount(root).rows[FINAL] == "multiscale yes is written, no was counted"
    Path("dvc.lock").unlink()
    assert recount(root).rows["cam, val"].startswith("threshold fixed 0.30 is written, fixed 0.50 was counted; miou")


def test_what_is_not_there() -> None:
    project = Project()
    root = finish()
    mask = root / "photos" / str(project.index.records[2].mask)
    whole = mask.read_bytes()
    mask.write_bytes(whole + b"x")
    with pytest.raises(UserError, match="has changed since it was indexed"):
        recount(root)
    mask.unlink()
    with pytest.raises(UserError, match=r"counted against masks, and 1 of 5 masks are not here: 2-mask\.png") as caught:
        recount(root)
    assert caught.value.fix == "put the data set there, or name its folder in dataset.root of params.yaml"
    mask.write_bytes(whole)
    Path("artifacts/cams").rename("cams")
    with pytest.raises(UserError, match="not here: artifacts/cams; scores are counted from it"):
        recount(root)
    result = CliRunner().invoke(verify.main, [str(root / "artifacts"), "--recount"])
    assert (result.exit_code, "there is no reports/sources.csv here" in result.stderr) == (2, True)


def test_photos_without_masks() -> None:
    Project(masks=False)
    with pytest.raises(UserError, match="no photo has a mask, so no score was counted, and none can be again"):
        recount(finish())


def test_damaged_store_is_told_once() -> None:
    Project()
    root = finish()
    shard = next(Path("artifacts/predictions").glob("*.h5"))
    data = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(data[:-1])
    result = CliRunner().invoke(verify.main, [str(root), "--recount"])
    assert (result.exit_code, result.stdout.count("\nerror: ") + 1) == (4, 1), result.output
    assert f"\nscores not counted again: {root}/artifacts/predictions/{shard.name}: differs" in result.stdout
