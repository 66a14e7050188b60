"""The stage `evaluate` on a small run: each number of its tables against a count of its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.helpers import CLASSES, tree
from tests.toy_evaluation import CAMS, SETTINGS, WITHOUT_CRF, Project, run_stage
from tests.toy_networks import write_oste
from tests.unit.evaluation.test_boundary import naive
from tests.unit.evaluation.test_classification import average_precision
from wsss.data.index import Record
from wsss.data.masks import MaskedImages
from wsss.models.oste import Oste, load_oste
from wsss.stores.cams import CamStore
from wsss.stores.labels import PredictionStore, PseudoStore
from wsss.stores.shards import index_digest

Table = list[dict[str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name, value in {"WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu", "WSSS_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def read(name: str) -> Table:
    with (Path("reports") / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def metrics() -> dict[str, float]:
    return dict(json.loads(Path("reports/metrics.json").read_text()))


def number(text: str) -> float:
    return float(text) if text else float("nan")


class Labels:
    """The label map of a source for a photo, from the stores that the stage has read and written."""

    def __init__(self) -> None:
        self.cams, self.pseudo = CamStore(Path("cams")), PseudoStore(Path("pseudo"))
        self.predictions = PredictionStore(Path("predictions"))

    def of(self, source: str, threshold: str) -> Callable[[Record], np.ndarray]:
        if "cam" in source:
            return lambda record: self.cut(record, "raw" in source, float(threshold.split()[1]))
        if source == "pseudo-label":
            return lambda record: self.pseudo.label(record.id)
        network, *steps = source.split()
        kind = {(): "single", ("ms+flip",): "multiscale", ("ms+flip+crf",): ""}[tuple(steps)]
        field = "_".join(part for part in ("oste" if network == "oste" else "", kind) if part) or "label"
        return lambda record: self.predictions.label(record.id, field)

    def cut(self, record: Record, raw: bool, threshold: float) -> np.ndarray:
        found = self.cams.read(record.id)
        maps = found.raw if raw else found.scores
        assert maps is not None
        label = np.zeros(record.own_size, np.uint8)
        if len(maps):
            large = F.interpolate(torch.from_numpy(maps)[None], label.shape, mode="bilinear", align_corners=False)
            scores = large[0].numpy()
            low, high = scores.min((1, 2), keepdims=True), scores.max((1, 2), keepdims=True)
            scores = np.where(high - low < 1e-3, 0, (scores - low) / (high - low + 1e-5)).astype(np.float32)
            steps = np.floor(scores.max(0) * 100).clip(0, 99)
            label[steps >= round(100 * threshold)] = 1
            label *= found.classes[scores.argmax(0)].astype(np.uint8)
        return label

    def enlarged(self, record: Record, label: np.ndarray) -> np.ndarray:
        """By repeating pixels, where the label has not the mask's size."""
        times = record.own_height // len(label)
        return label.repeat(times, 0).repeat(times, 1)


def scored(project: Project, split: str) -> list[tuple[Record, np.ndarray]]:
    masks = MaskedImages(project.photos, len(CLASSES))
    found = [(record, masks.mask(record)) for record in project.index.records if record.split == split]
    return [(record, mask) for record, mask in found if mask is not None]


@pytest.mark.parametrize("times", [1, 3])
def test_every_score_of_every_source_is_that_of_its_labels(times: int) -> None:
    """At the masks' own size, which is larger where photos are shrunk."""
    project = Project(times=times)
    done = run_stage()
    assert done.exit_code == 0, done.stderr
    sources, classes, labels = read("sources.csv"), read("classes.csv"), Labels()
    assert len(classes) == len(sources) * len(CLASSES)
    for row in sources:
        lines = [line for line in classes if (line["source"], line["split"]) == (row["source"], row["split"])]
        photos, label_of = scored(project, row["split"]), labels.of(row["source"], row["threshold"])
        pairs = [(mask, labels.enlarged(record, label_of(record))) for record, mask in photos]
        truth, found = (np.concatenate([each[side].ravel() for each in pairs]) for side in (0, 1))
        truth, found = truth[truth != 255], found[truth != 255]
        bands = sum(naive(*pair, len(CLASSES)) for pair in pairs)
        assert isinstance(bands, np.ndarray)
        ious, boundaries = [], []
        for place, (name, line) in enumerate(zip(CLASSES, lines, strict=True)):
            here, there = truth == place, found == place
            both, either = (here & there).sum(), (here | there).sum()
            assert line["class"] == name
            assert int(line["pixels"]) == here.sum()
            with np.errstate(invalid="ignore"):
                ious.append(np.float64(both) / either)
                boundaries.append(np.float64(bands[0, place]) / (bands[1, place] + bands[2, place] - bands[0, place]))
                expected = {"iou": ious[-1], "precision": both / there.sum(), "recall": both / here.sum()}
            for column, value in expected.items():
                np.testing.assert_allclose(number(line[column]), value, atol=6e-5, err_msg=f"{row} {name} {column}")
            if "oracle" in row["source"]:
                assert line["boundary_iou"] == ""
            else:
                np.testing.assert_allclose(number(line["boundary_iou"]), boundaries[-1], atol=6e-5)
        assert row["images"] == str(len(photos))
        assert number(row["miou"]) == pytest.approx(np.nanmean(ious), abs=6e-5)
        assert number(row["coverage"]) == pytest.approx((found != 255).mean(), abs=6e-5)
        if "oracle" in row["source"]:
            assert row["boundary_miou"] == ""
        else:
            assert number(row["boundary_miou"]) == pytest.approx(np.nanmean(boundaries), abs=6e-5)


def test_rows_say_how_they_were_made() -> None:
    Project()
    assert run_stage().exit_code == 0
    columns = ("tags_used", "threshold", "multiscale", "crf", "collapsed")
    made = {(row["split"], row["source"]): tuple(row[column] for column in columns) for row in read("sources.csv")}
    best = {name: made["val", f"{name} oracle"][1] for name in ("raw cam", "cam")}
    assert all(text.startswith("oracle 0.") for text in best.values())
    of_train = {source: row for (split, source), row in made.items() if split == "train"}
    assert list(of_train) == ["raw cam", "raw cam oracle", "cam", "cam oracle", "pseudo-label"]
    assert {source: row for (split, source), row in made.items() if split == "val"} == {
        "raw cam": ("yes", "fixed 0.30", "yes", "no", ""),
        "raw cam oracle": ("yes", best["raw cam"], "yes", "no", ""),
        "cam": ("yes", "fixed 0.30", "yes", "no", ""),
        "cam oracle": ("yes", best["cam"], "yes", "no", ""),
        "pseudo-label": ("yes", "gmm", "yes", "yes", ""),
        "oste": ("no", "arg-max", "no", "no", ""),
        "oste ms+flip": ("no", "arg-max", "yes", "no", ""),
        "oste ms+flip+crf": ("no", "arg-max", "yes", "yes", made["val", "oste ms+flip+crf"][-1]),
        "student": ("no", "arg-max", "no", "no", ""),
        "student ms+flip": ("no", "arg-max", "yes", "no", ""),
        "student ms+flip+crf": ("no", "arg-max", "yes", "yes", made["val", "student ms+flip+crf"][-1]),
    }
    assert {made["val", f"{network} ms+flip+crf"][-1] for network in ("oste", "student")} <= {"yes", "no"}


def test_labels_that_a_first_student_corrected_are_scored_where_they_are() -> None:
    project = Project()
    project.write_relabelled([record.id for record in project.index.split("train")])
    assert run_stage().exit_code == 0
    (row,) = [row for row in read("sources.csv") if row["source"] == "relabelled"]
    assert (row["split"], row["tags_used"], row["threshold"]) == ("train", "yes", "arg-max")
    assert (row["multiscale"], row["crf"], row["coverage"]) == ("no", "yes", "1.0000")
    truth = np.concatenate([mask.ravel() for _, mask in scored(project, "train")])
    present = len(np.unique(truth[truth != 255]))
    background = (truth == 0).sum() / (truth != 255).sum()
    assert number(row["miou"]) == pytest.approx(background / present, abs=6e-5)  # all is called background


@pytest.mark.parametrize(("attributes", "threshold"), [({}, "imported"), ({"upper_bound": True}, "oracle: masks")])
def test_imported_labels_that_the_student_learned_from_are_scored(attributes: dict[str, bool], threshold: str) -> None:
    """Those of the photos that they have; no other labels than those that the stage noted."""
    project = Project()
    masked = [record.id for record in project.index.records if record.mask is not None]
    train = [record.id for record in project.index.split("train")]
    noted = project.write_imported([*train, masked[-1]], **attributes)
    project.write_relabelled((), labels_sha256=noted)
    assert run_stage(labels="mine").exit_code == 0
    rows = {row["split"]: row for row in read("sources.csv") if row["source"] == "imported labels"}
    assert set(rows) == {"train", "val"}
    made = {(row["threshold"], row["tags_used"], row["crf"], row["coverage"]) for row in rows.values()}
    assert made == {(threshold, "yes", "", "1.0000")}
    assert [rows[split]["images"] for split in ("train", "val")] == ["2", "1"]
    truth = np.concatenate([mask.ravel() for _, mask in scored(project, "train")])
    known = truth[truth != 255]
    assert number(rows["train"]["miou"]) == pytest.approx((known == 0).mean() / len(np.unique(known)), abs=6e-5)
    for labels, sha in (("pseudo", noted), ("mine", "0" * 64), ("mine", "")):
        project.write_relabelled((), **({"labels_sha256": sha} if sha else {}))
        assert run_stage(labels=labels).exit_code == 0
        assert "imported labels" not in {row["source"] for row in read("sources.csv")}


def test_rows_of_a_student_that_has_seen_masks_say_so() -> None:
    Project().write_relabelled((), upper_bound=True)
    assert run_stage().exit_code == 0
    made = {row["source"]: row["threshold"] for row in read("sources.csv") if row["source"].startswith(("st", "os"))}
    assert set(made) == {
        f"{network}{step}" for network in ("oste", "student") for step in ("", " ms+flip", " ms+flip+crf")
    }
    assert all(how == ("arg-max" if source.startswith("oste") else "oracle: masks") for source, how in made.items())


def test_one_scale_is_not_called_multi_scale() -> None:
    project = Project(cams=CAMS.model_copy(update={"scales": (1.0,)}))
    project.write_pseudo(threshold="fixed", crf=False)
    assert run_stage(WITHOUT_CRF.model_copy(update={"scales": (1.0,)})).exit_code == 0
    rows = read("sources.csv")
    assert {row["multiscale"] for row in rows} == {"no"}
    assert {row["crf"] for row in rows} == {"no"}
    assert {row["threshold"] for row in rows if row["source"] == "pseudo-label"} == {"fixed"}
    assert [row["source"] for row in rows][-1] == "student ms+flip"


def test_store_of_cams_that_does_not_name_its_scales_is_refused() -> None:
    Project()
    path = Path("cams/index.json")
    index = json.loads(path.read_text())
    index.pop("scales")
    index.pop("sha256")
    path.write_text(json.dumps({**index, "sha256": index_digest(index)}))
    refused = run_stage()
    assert refused.exit_code == 4
    assert "error: cams: does not say at which scales it was made" in refused.stderr
    assert "fix: make it again: dvc repro -f -s cams" in refused.stderr


def test_metrics_are_at_most_ten_and_the_scores_of_the_table() -> None:
    Project()
    assert run_stage().exit_code == 0
    rows = {row["source"]: row for row in read("sources.csv") if row["split"] == "val"}
    ap = [number(row["ap"]) for row in read("classification.csv")]
    assert metrics() == {
        "cam_raw_miou": number(rows["raw cam"]["miou"]),
        "cam_miou": number(rows["cam"]["miou"]),
        "pseudo_miou": number(rows["pseudo-label"]["miou"]),
        "oste_miou": number(rows["oste"]["miou"]),
        "student_miou": number(rows["student"]["miou"]),
        "student_ms_crf_miou": number(rows["student ms+flip+crf"]["miou"]),
        "pseudo_miou_labelled": number(rows["pseudo-label"]["miou_labelled"]),
        "pseudo_coverage": number(rows["pseudo-label"]["coverage"]),
        "student_boundary_miou": number(rows["student ms+flip+crf"]["boundary_miou"]),
        "tags_map": pytest.approx(np.nanmean(ap), abs=1e-4),
    }
    assert len(metrics()) == 10


def test_metrics_of_labels_are_of_those_that_the_student_learned_from() -> None:
    project = Project()
    everything = [record.id for record in project.index.records]
    first = next(record.id for record in project.index.split("val") if record.mask is not None)
    for names, scored_too in ((everything, True), ([*everything[:4], first], False), (everything[:4], False)):
        noted = project.write_imported(names)
        project.write_relabelled((), labels_sha256=noted)
        assert run_stage(labels="mine").exit_code == 0
        rows = {row["source"]: row for row in read("sources.csv") if row["split"] == "val"}
        found = {name: value for name, value in metrics().items() if name.startswith(("pseudo", "labels"))}
        row = rows.get("imported labels", {})
        assert found == (
            {
                "labels_miou": number(row["miou"]),
                "labels_miou_labelled": number(row["miou_labelled"]),
                "labels_coverage": number(row["coverage"]),
            }
            if scored_too
            else {}
        )
        assert "pseudo-label" in rows  # the table has both
    project.write_relabelled((), labels_sha256="0" * 64)  # of a folder that is gone
    assert run_stage(labels="mine").exit_code == 0
    assert not [name for name in metrics() if name.startswith(("pseudo", "labels"))]


def test_without_crf_the_last_step_of_the_student_is_the_mean_of_scales() -> None:
    Project()
    assert run_stage(WITHOUT_CRF).exit_code == 0
    rows = {row["source"]: row for row in read("sources.csv") if row["split"] == "val"}
    assert metrics()["student_ms_miou"] == number(rows["student ms+flip"]["miou"])
    assert metrics()["student_boundary_miou"] == number(rows["student ms+flip"]["boundary_miou"])
    assert "student_ms_crf_miou" not in metrics()
    assert rows["student ms+flip"]["collapsed"] in ("yes", "no")
    assert len(metrics()) == 10


def test_an_oste_without_a_branch_has_no_rows() -> None:
    project = Project()
    write_oste(Path("oste.pt"), branch=False)
    done = run_stage()
    assert done.exit_code == 0, done.stderr
    sources = {row["source"] for row in read("sources.csv") if row["split"] == "val"}
    assert {"cam", "pseudo-label", "student", "student ms+flip+crf"} <= sources
    assert not any(source.startswith("oste") for source in sources)
    predictions = PredictionStore(Path("predictions"))
    record = project.index.split("val")[0]
    assert predictions.versions(record.id) == ("multiscale", "single")
    assert predictions.tag_logits(record.id).shape == (3,)
    assert "oste_miou" not in metrics()
    assert metrics()["tags_map"] > 0


def test_tags_are_scored_by_the_classification_branch_on_all_photos_of_the_split() -> None:
    project = Project(masks=False)
    done = run_stage()
    assert done.exit_code == 0, done.stderr
    records = project.index.split("val")
    oste, _ = load_oste(Path("oste.pt"), CLASSES)
    assert isinstance(oste, Oste)
    images = [torch.from_numpy(project.photos.image(record)).permute(2, 0, 1)[None].float() for record in records]
    with torch.no_grad():
        logits = np.concatenate([oste(image, warm_up=True).logits.numpy() for image in images])
    tags = np.array([[tag in record.tags for tag in (1, 2, 3)] for record in records])
    assert [(row["class"], int(row["photos"])) for row in read("classification.csv")] == list(
        zip(CLASSES[1:], tags.sum(0), strict=True)
    )
    found = [number(row["ap"]) for row in read("classification.csv")]
    assert found == pytest.approx([average_precision(tags[:, k], logits[:, k]) for k in range(3)], abs=6e-5)
    assert metrics() == {"tags_map": pytest.approx(np.mean(found), abs=1e-4)}
    assert "evaluate: no photo has a mask, so only tags are scored" in done.stderr
    assert f"tags: mean average precision {100 * metrics()['tags_map']:.2f} % (val, 4 photos, 3 classes)" in done.stderr
    assert read("sources.csv") == read("classes.csv") == read("thresholds.csv") == read("confusion.csv") == []


def test_sweep_marks_the_threshold_that_was_set_and_the_best() -> None:
    Project()
    assert run_stage().exit_code == 0
    rows = {row["source"]: row for row in read("sources.csv") if row["split"] == "val"}
    sweep = read("thresholds.csv")
    assert [line["threshold"] for line in sweep] == [f"{n / 100:.2f}" for n in range(100)]
    marked = {mark: line for line in sweep for mark in line["chosen"].split()}
    assert (marked["fixed"]["threshold"], marked["fixed"]["miou"]) == ("0.30", rows["cam"]["miou"])
    assert marked["oracle"]["miou"] == rows["cam oracle"]["miou"] == max(line["miou"] for line in sweep)
    assert marked["oracle"]["threshold"] == rows["cam oracle"]["threshold"].split()[1]
    assert max(line["raw_miou"] for line in sweep) == rows["raw cam oracle"]["miou"]


def test_threshold_next_to_1_is_the_last_of_the_sweep() -> None:
    Project()
    assert run_stage(SETTINGS.model_copy(update={"cam_threshold": 0.999})).exit_code == 0
    assert {row["threshold"] for row in read("sources.csv") if row["source"] == "cam"} == {"fixed 0.99"}


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    Project()
    monkeypatch.setattr("wsss.evaluation.counting.CHUNK", 1)
    made = []
    for workers in ("0", "2"):
        monkeypatch.setenv("WSSS_WORKERS", workers)
        assert run_stage().exit_code == 0
        made.append((tree(Path("reports")), tree(Path("predictions"))))
    assert made[0] == made[1]
    assert set(made[0][0]) == {
        *("metrics.json", "sources.csv", "classes.csv", "per_class.csv"),
        *("classification.csv", "confusion.csv", "thresholds.csv", "ways.csv"),
    }
