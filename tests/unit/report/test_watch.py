"""`wsss watch`: what it says of runs that go on, wait, have ended, or never began."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from wsss import cli
from wsss.commands import watch
from wsss.core.live import telling
from wsss.core.locked_files import content_md5
from wsss.core.stage import hash_input
from wsss.data.images import save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.data.origins import FROM_LABELS, LABELS_SHA, NETWORK, ORIGINS, Origin, digest, origins_text
from wsss.data.palette import display_palette
from wsss.data.render import label_overlay
from wsss.report.interval import Interval
from wsss.report.scores import SOURCE_COLUMNS
from wsss.report.watch import lines, read_run
from wsss.report.watch_page import page
from wsss.report.words_now import words_now
from wsss.stores.labels import PSEUDO_FORMAT, RelabelledStore
from wsss.stores.shards import StoreMeta, write_store_index
from wsss.stores.whose import MADE_BY

NOBODY = 2**22 + 1
"""No process has such a number: it is above Linux's limit."""
LOSSES = [{"epoch": epoch, "lr": 0.1, "loss": 1 / epoch, "seg": 0.5 / epoch, "grad_norm": 3.0} for epoch in range(1, 8)]


@pytest.fixture(autouse=True)
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSSS_SCRATCH", raising=False)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    return tmp_path / ".scratch/live"


def stage(where: Path, name: str, **changes: Any) -> dict[str, Any]:
    """A file as a finished stage leaves it, with `changes`."""
    with telling(name, "f", lambda eta: {"spent": 150.0, "left": None, "rest": None}):
        pass
    found: dict[str, Any] = json.loads((where / f"{name}.json").read_text()) | changes
    (where / f"{name}.json").write_text(json.dumps(found))
    return found


def running(where: Path, **changes: Any) -> None:
    """Stage `distill` in its second student, with 5 to 10 minutes left."""
    work = {"label": "distill: student 2 of 2", "unit": "steps", "note": "", "done": 3, "total": 12, "eta": 260.0}
    phases = {"student 1 of 2": {"epochs": 7, "rows": LOSSES}, "student 2 of 2": {"epochs": 7, "rows": []}}
    left = {"left": [300.0, 600.0], "rest": 120.0}
    stage(where, "distill", **{"state": "runs", "works": [work], "phases": phases, **left, **changes})


def wsss(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_no_run_is_an_error_of_the_user() -> None:
    for options in ((), ("--page",), ("--once",)):
        code, out, err = wsss("watch", *options)
        assert (code, out) == (2, "")
        assert "no stage has run here\nfix: go to the folder of a run, or begin one: dvc repro" in err


def test_a_running_stage(where: Path) -> None:
    stage(where, "index")
    running(where)
    code, out, _ = wsss("watch", "--once")
    assert code == 0
    assert out.splitlines() == [
        "distill is running",
        "  distill: student 2 of 2: 3/12 steps (25 %), eta 4:20",
        "left: stage 5 to 10 min, pipeline ≤ 12 min",
        "so far: index 2 min",
        "",
        "distill, student 1 of 2: epoch 7 of 7",
        "  epoch   loss    seg",
        "      3  0.333  0.167",
        "      4  0.250  0.125",
        "      5  0.200  0.100",
        "      6  0.167  0.083",
        "      7  0.143  0.071",
    ]


def test_what_an_earlier_run_told_of_later_stages_is_left_out(where: Path) -> None:
    stage(where, "gallery", written=1.0)
    stage(where, "pretrain", written=2.0, tags={"0": 0.5, "4": 0.75})
    running(where)
    run = read_run(where)
    assert run is not None
    assert list(run.stages) == ["pretrain", "distill"]


@pytest.mark.parametrize(
    ("name", "changes", "sentence", "alive"),
    [
        ("train", {}, "train is done", False),
        ("train", {"dvc": os.getpid()}, "train is done; DVC stores its outputs", True),
        ("train", {"dvc": NOBODY}, "train is done", False),
        (
            "gallery",
            {"dvc": os.getpid()},
            "gallery is done, and with it the pipeline: see reports/gallery/index.html",
            0,
        ),
        ("train", {"state": "runs"}, "train is running", True),
        (
            "train",
            {"state": "runs", "process": NOBODY},
            "train ended without a word; dvc repro goes on from there",
            False,
        ),
        ("train", {"state": "runs", "host": "other"}, "train is running", True),
        (
            "train",
            {"state": "runs", "host": "other", "written": 9.0},
            "train ended without a word; dvc repro goes on",
            0,
        ),
        (
            "train",
            {"state": "stopped", "why": "stopped (SIGTERM): kept"},
            "train was stopped: stopped (SIGTERM): kept",
            0,
        ),
    ],
)
def test_how_it_stands(where: Path, name: str, changes: dict[str, Any], sentence: str, alive: bool) -> None:
    stage(where, name, **changes)
    run = read_run(where)
    assert run is not None
    assert run.state.startswith(sentence)
    assert run.alive == alive
    assert wsss("watch", "--once")[:2] == (0, "\n".join(lines(run)) + "\n")


def test_after_the_gallery_the_last_words_are_said_again(where: Path) -> None:
    results(0.5)
    words = words_now()
    assert "has mIoU 50.00 % (student)" in words
    assert words.endswith("next: wsss predict artifacts/student.pt photos -o ../found --overlays --min-area 0.1%")
    stage(where, "gallery", words=words)
    assert wsss("watch", "--once")[1].endswith(f"index.html\n\n{words}\n")
    stage(where, "gallery", words=words, state="runs", process=NOBODY)
    assert "verdict" not in wsss("watch", "--once")[1]


def test_the_interval_that_the_gallery_has_noted_is_said_again(where: Path) -> None:
    results(0.5)
    Path("reports/gallery").mkdir()
    Path("reports/gallery/interval.csv").write_text(Interval("student", "val", "40", 0.5, 0.4, 0.6).csv)
    assert "has mIoU 50.00 % (student), 95 % interval 40.0 to 60.0 %, one seed" in words_now()
    results(0.45)
    assert "interval" not in words_now()


def test_the_last_words_are_of_the_results_that_are_here_now(where: Path) -> None:
    """DVC may have brought back those of another run from its cache: no stage runs then."""
    results(0.5)
    stage(where, "gallery", words=words_now())
    results(0.45)
    said = wsss("watch", "--once")[1]
    assert "50.00" not in said
    assert f"\n\n{watch.OTHERS}\nverdict: usable\n" in said
    assert "has mIoU 45.00 % (student)" in said
    Path("reports/sources.csv").unlink()
    code, said, _ = wsss("watch", "--once")
    assert code == 0
    assert "no verdict now: error: reports/sources.csv: no such file\nfix: " in said
    assert watch.OTHERS not in said


def test_a_stage_that_ran_again_and_changed_nothing_leaves_the_verdict(where: Path) -> None:
    results(0.5)
    stage(where, "gallery", words=words_now())
    stage(where, "index")
    assert "verdict" not in wsss("watch", "--once")[1]  # nothing says that they are of one run
    for name in ("gallery/index.html", "overlays/a.jpg"):
        Path("reports", name).parent.mkdir(exist_ok=True)
        Path("reports", name).touch()
    made = {"evaluate": "reports/sources.csv", "index": "artifacts/dataset", "distill": "artifacts/relabelled"}
    md5s = {path: content_md5(Path(path)) for path in made.values()}
    outs = {stage: [{"path": path, "md5": md5s[path]}] for stage, path in made.items()}
    outs["gallery"] = [{"path": f"reports/{name}", "md5": "0.dir"} for name in ("gallery", "overlays")]
    deps: dict[str, list[dict[str, str]]] = {"gallery": [{"path": path, "md5": md5} for path, md5 in md5s.items()]}
    stages = {stage: {"outs": outs[stage], "deps": deps.get(stage, [])} for stage in outs}
    Path("dvc.lock").write_text(json.dumps({"stages": stages}))
    said = wsss("watch", "--once")[1]
    assert said == f"index is done\n\n{watch.UNCHANGED}\n{words_now()}\n"
    deps["gallery"][1]["md5"] = "1.dir"  # the index is another one than the gallery's
    Path("dvc.lock").write_text(json.dumps({"stages": stages}))
    assert "verdict" not in wsss("watch", "--once")[1]
    deps["gallery"][1]["md5"] = md5s["artifacts/dataset"]
    Path("dvc.lock").write_text(json.dumps({"stages": stages}))
    results(0.45)
    assert "verdict" not in wsss("watch", "--once")[1]
    results(0.5)
    stage(where, "index", state="stopped", why="Ctrl-C")
    assert "verdict" not in wsss("watch", "--once")[1]
    stage(where, "index", dvc=os.getpid())
    assert "verdict" not in wsss("watch", "--once")[1]


def test_the_last_words_name_the_method_whose_labels_the_student_learned_from(where: Path) -> None:
    results(0.5)
    labels, classes = Path("artifacts/imported"), ("background", "cow")
    labels.mkdir()
    write_store_index(labels, StoreMeta(PSEUDO_FORMAT, classes, {FROM_LABELS: 2, MADE_BY: "otsu"}), [])
    noted = {LABELS_SHA: hash_input(labels)}
    write_store_index(RelabelledStore.place, StoreMeta(PSEUDO_FORMAT, classes, noted), [])
    Path("params.yaml").write_text(
        "dataset: {root: photos}\ndistill: {labels: artifacts/imported, rounds: 1}\ngallery: {split: val}\n"
    )
    told = "It is no result of tags alone: the student learned from labels of 2 photos made by otsu."
    assert told in words_now()
    rows = "background,.9,.9,.9\ncow,.1,.2,.1\n"
    Path("reports/per_class.csv").write_text(f"class,cam,imported labels,student\n{rows}")
    assert "cow 10.0 % (lost at the label)" in words_now()
    labels.rename("artifacts/moved")
    assert "no result of tags alone" not in words_now()


def test_results_that_were_brought_here_have_their_say(
    where: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = wsss("watch", "--once")
    assert (code, "no stage has run here" in err) == (2, True)
    results(0.45)
    code, said, _ = wsss("watch", "--once")
    assert code == 0
    assert said.startswith(f"{watch.ELSEWHERE}\nverdict: ")


@pytest.mark.parametrize("ran", [True, False])
def test_masks_that_are_a_networks_own_are_told_beside_the_scores(where: Path, ran: bool) -> None:
    results(0.5, mask="masks/sub/a.png")
    if ran:
        stage(where, "gallery", words=words_now())
    mask = np.ones((8, 8), np.uint8)
    save_mask_png(Path("photos/masks/sub/a.png"), mask)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("photos", "photos, masks: masks"))
    assert "warning" not in wsss("watch", "--once")[1]
    listed = origins_text({"sub/a": Origin(NETWORK, "found", digest(mask))})
    Path("photos/masks", ORIGINS).write_text(listed)
    said = wsss("watch", "--once")[1]
    assert "--min-area 0.1%\n\nwarning: photos: 1 of 1 masks are a network's own, as wsss has written them, " in said
    assert watch.OTHERS not in said
    settings = Path("params.yaml").read_text()
    Path("params.yaml").write_text(settings.replace("masks: masks", "masks: others"))  # before index runs again
    Path("photos/others").mkdir()
    Path("photos/others", ORIGINS).write_text(listed)
    assert "warning" not in wsss("watch", "--once")[1]
    Path("params.yaml").write_text(settings)
    save_mask_png(Path("photos/masks/sub/a.png"), np.zeros((8, 8), np.uint8))
    assert "warning" not in wsss("watch", "--once")[1]
    Path("photos/masks/sub/a.png").unlink()
    assert "warning" not in wsss("watch", "--once")[1]


def test_the_verdict_counts_val_masks_that_are_a_networks_own(where: Path) -> None:
    results(0.9, held_out="masks/v.png")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("photos", "photos, masks: masks"))
    mask = np.ones((8, 8), np.uint8)
    save_mask_png(Path("photos/masks/v.png"), mask)
    assert "network agrees" not in words_now()
    Path("photos/masks", ORIGINS).write_text(origins_text({"v": Origin(NETWORK, "found", digest(mask))}))
    told = "1 of 40 val masks are still as wsss wrote them: the score says how far the network agrees with itself."
    assert words_now().startswith(f"verdict: usable\n  {told}\n")


def results(miou: float, mask: str | None = None, held_out: str = "") -> None:
    """What is read of a finished run whose student has this mIoU."""
    records = (
        Record("a", "train", "a.jpg", mask, (1,), 8, 8, "0" * 64),
        *([Record("v", "val", "v.jpg", held_out, (1,), 8, 8, "0" * 64)] if held_out else []),
    )
    index = Index(("background", "cow"), records)
    write_index(Path("artifacts/dataset"), index)
    relabelled = RelabelledStore.place
    relabelled.mkdir(parents=True, exist_ok=True)
    write_store_index(relabelled, StoreMeta(PSEUDO_FORMAT, index.classes, {}), [])
    Path("reports").mkdir(exist_ok=True)
    rows = {
        "sources.csv": (",".join(SOURCE_COLUMNS), f"student,val,40,no,arg-max,no,no,no,{miou},{miou},,1"),
        "per_class.csv": ("class,student", f"background,{miou}", f"cow,{miou}"),
        "train_tags.csv": ("class,photos,tagged,kept,verdict", "cow,40,9,0.9,learnt"),
        "agreement.csv": (
            "class,photos,labelled,predicted,agreement,verdict,student",
            "background,40,0.5,0.5,0.8,agreed,fine",
        ),
    }
    for name, lines_of in rows.items():
        Path("reports", name).write_text("\n".join(lines_of) + "\n")
    Path("params.yaml").write_text("dataset: {root: photos}\ngallery: {split: val, images: 2}\n")


def pictures(text: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_the_page_shows_masks_curves_and_tags(where: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[2:5, 1:4] = 2
    (where / "distill").mkdir(parents=True)
    Image.new("RGB", (8, 6), (90, 90, 90)).save(where / "distill/0.jpg")
    Image.fromarray(mask).save(where / "distill/0.png")
    photo = {"number": 0, "epoch": 3, "phase": "student 2 of 2", "kind": "mask", "says": ""}
    name = "<script>alert(1)</script>"
    running(where, photos={name: photo}, classes=["background", "cow", "<b>cat"], tags={"0": 0.5, "4": 0.75})
    run = read_run(where)
    assert run is not None
    text = page(run)
    shown, answer = pictures(text)
    assert np.array_equal(answer, label_overlay(shown, mask, display_palette()))
    assert "<script>alert" not in text
    assert "&lt;b&gt;cat" in text
    assert 'data-seconds="5"' in text
    assert "stage 5 to 10 min, pipeline ≤ 12 min" in text
    assert "epoch 3 of student 2 of 2" in text
    titles = re.findall(r'alt="(distill[^"]*)"', text)
    assert titles == ["distill, student 1 of 2: losses, 7 of 7 epochs", "distill: mean AP of the held-out tags"]


def test_the_page_of_a_finished_run_stays_as_it_is(where: Path) -> None:
    stage(where, "gallery")
    code, out, err = wsss("watch", "--page", "--once")
    assert (code, out) == (0, "")
    assert (where / "watch.html").as_uri() in err
    assert 'data-seconds="' not in (where / "watch.html").read_text()


def test_after_a_finished_run_the_page_waits_for_the_next(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(where, "gallery", written=time.mktime((2026, 1, 2, 10, 14, 55, 0, 0, -1)))
    pages = []

    def begin_and_end(_: float) -> None:
        """The next run begins in the first pause, and ends in the second."""
        pages.append((where / "watch.html").read_text())
        if len(pages) == 1:
            running(where)
        else:
            stage(where, "gallery")

    monkeypatch.setattr(watch.time, "sleep", begin_and_end)
    code, _, err = wsss("watch", "--page")
    assert code == 0
    assert "waiting for a run (the last one ended 2026-01-02 10:14)" in err
    assert "<h1>waiting for a run</h1>" in pages[0]
    assert all('data-seconds="5"' in text for text in pages)
    assert "<h1>distill is running</h1>" in pages[1]
    assert err.endswith("gallery is done, and with it the pipeline: see reports/gallery/index.html\n")
    assert 'data-seconds="' not in (where / "watch.html").read_text()


def test_waiting_for_a_run_ends(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(where, "train")
    monkeypatch.setattr(watch, "WAIT", 0.05)
    monkeypatch.setattr(watch, "SECONDS", 0.01)
    code, _, err = wsss("watch", "--page")
    assert code == 0
    assert re.search(r"waiting for a run \(the last one ended \d\d:\d\d:\d\d\)", err)
    assert err.endswith("train is done\n")


def test_a_stage_with_nothing_to_tell_yet_loads(where: Path) -> None:
    running(where, works=[], phases={}, left=None, rest=None)
    run = read_run(where)
    assert run is not None
    assert lines(run)[:2] == ["distill is running", "  loading photos…"]
    assert "loading photos…" in page(run)
    running(where)
    run = read_run(where)
    assert run is not None
    assert "loading photos…" not in page(run)
